// The evaluator of flagd for JavaScript: {document} sets the flags, {flag, kind, contexts} evaluates one of them.
import { FlagdCore } from '@openfeature/flagd-core';
import { answerLines } from './lines.mjs';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const core = new FlagdCore(undefined, quiet);
const kinds = {
  boolean: (flag, context) => core.resolveBooleanEvaluation(flag, false, context, quiet),
  string: (flag, context) => core.resolveStringEvaluation(flag, 'none', context, quiet),
  number: (flag, context) => core.resolveNumberEvaluation(flag, -1, context, quiet),
  object: (flag, context) => core.resolveObjectEvaluation(flag, {}, context, quiet),
};

await answerLines(({ document, flag, kind = 'string', contexts }) => {
  if (document !== undefined) return core.setConfigurations(document);
  return contexts.map((context) => {
    const found = kinds[kind](flag, context);
    return [found.variant ?? `${found.errorCode}: ${found.errorMessage}`, found.value];
  });
});
