// A page with the OpenFeature web SDK and its OFREP provider, without the page. usage: web.mjs URL TOKEN
import { answerLines } from './lines.mjs';
import { Page } from './page.mjs';

const [baseUrl, token] = process.argv.slice(2);
const page = new Page(baseUrl, token);

await answerLines(async ({ act, ...said }) => page[act](said));
