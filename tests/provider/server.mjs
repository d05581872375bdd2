// A certified OpenID provider on a free port of the loopback. usage: server.mjs CALLBACK
// Its first line is {"answer": ISSUER}; {"people": {subject: claims}} replaces who it knows.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { answerLines } from '../js/lines.mjs';

console.info = console.warn = () => {}; // standard output is for answers
const [callback] = process.argv.slice(2);
const people = {};
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'canary',
      client_secret: 'a secret between the two',
      redirect_uris: [callback],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups'] },
  pkce: { required: () => true },
  cookies: { keys: ['of these tests'] },
  async findAccount(_context, subject) {
    if (!people[subject]) return undefined;
    return { accountId: subject, claims: async () => ({ sub: subject, ...people[subject] }) };
  },
});
server.on('request', provider.callback());

await answerLines((said) => {
  if (said.people) {
    for (const known of Object.keys(people)) delete people[known];
    Object.assign(people, said.people);
  }
  return issuer;
});
