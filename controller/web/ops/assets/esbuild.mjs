// Bundles app.js and app.css into the folder given as the only argument (hatch_build.py calls this).
import {build} from "esbuild";

const [outdir] = process.argv.slice(2);
if (!outdir) {
  throw new Error("usage: node esbuild.mjs OUTPUT_FOLDER");
}

await build({
  entryPoints: ["app.js", "app.css"],
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2020", "chrome100", "firefox100", "safari15"],
  legalComments: "inline",
  // htmx can evaluate strings; app.js switches that off (allowEval) and the page's policy forbids it besides.
  logOverride: {"direct-eval": "silent"},
  logLevel: "warning",
});
