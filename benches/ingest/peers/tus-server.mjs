// Usage: node tus-server.mjs PORT FOLDER CERTIFICATE.pem KEY.pem
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [port, folder, certificate, key] = process.argv.slice(2)
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: folder }) })
const tls = { cert: readFileSync(certificate), key: readFileSync(key), minVersion: 'TLSv1.3' }
const server = createServer(tls, (request, response) => tus.handle(request, response))
// On a busy machine more than the usual five seconds can pass before the next request of a connection is seen.
server.keepAliveTimeout = 60_000
server.listen(Number(port), '127.0.0.1')
