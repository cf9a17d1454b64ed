// A real OpenID provider on a free port of this machine. It asks who one is and believes it, and ends when its input does.
// Usage: node provider.mjs <redirect URI>. Prints the port.

import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [redirect] = process.argv.slice(2);

// Whoever signs in is who they say; an address that begins so is one that nobody has verified.
const findAccount = (_context, login) => ({
  accountId: login,
  claims: () => ({
    sub: `subject-${login}`,
    email: login,
    email_verified: !login.startsWith('unverified'),
    name: 'Ada Lovelace',
  }),
});

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: 'posthaste',
        client_secret: 'a secret of tests',
        redirect_uris: [redirect],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    // As Google does: the ID token says it all.
    conformIdTokenClaims: false,
    pkce: { methods: ['S256'], required: () => true },
    findAccount,
  });
  server.on('request', provider.callback());
  console.log(port);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
