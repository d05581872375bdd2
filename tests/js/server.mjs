// A back end with the OpenFeature server SDK and its OFREP provider. usage: server.mjs URL TOKEN
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { answerLines } from './lines.mjs';

const [baseUrl, token] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl, headers: [['Authorization', `Bearer ${token}`]], timeoutMs: 5000 }),
);
const client = OpenFeature.getClient();
const kinds = {
  boolean: (...of) => client.getBooleanDetails(...of),
  string: (...of) => client.getStringDetails(...of),
  number: (...of) => client.getNumberDetails(...of),
  object: (...of) => client.getObjectDetails(...of),
};

await answerLines(({ kind, flag, fallback, context }) => kinds[kind](flag, fallback, context));
