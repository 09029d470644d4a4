// Drives the gate with the TypeScript clients, as an agent's program does: list, call, refused, revoked in mid-session.
// Reads lines of JSON on standard input ({"step": …}) and answers each with one line, so that the test can change rights
// in between. Arguments: the folder with node_modules, the era, the URL, the token.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [modules, era, url, token] = process.argv.slice(2)
const load = (path) => import(pathToFileURL(`${modules}/${path}`))
const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } }
let client, transport
if (era === 'sdk') {
  const { Client } = await load('@modelcontextprotocol/sdk/dist/esm/client/index.js')
  const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/dist/esm/client/streamableHttp.js')
  client = new Client({ name: 'test', version: '1' })
  transport = new StreamableHTTPClientTransport(new URL(url), options)
} else {
  const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client/dist/index.mjs')
  const negotiation = era === 'modern' ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}
  client = new Client({ name: 'test', version: '1' }, negotiation)
  transport = new StreamableHTTPClientTransport(new URL(url), options)
}

const steps = {
  connect: async () => { await client.connect(transport); return 'connected' },
  list: async () => (await client.listTools()).tools.map((t) => t.name).join(' '),
  call: async (s) => {
    const r = await client.callTool({ name: s.name, arguments: s.arguments })
    return { error: r.isError ?? false, text: r.content?.[0]?.text, outcome: r._meta?.['io.gatehouse/outcome']?.code }
  },
}
for await (const line of createInterface({ input: process.stdin })) {
  const s = JSON.parse(line)
  let answer
  try {
    answer = { got: await steps[s.step](s) }
  } catch (e) {
    answer = { thrown: String(e.message ?? e) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await client.close()
