// Drives the gate with clients that other people wrote, as an agent's program does. Reads lines of JSON on standard input
// ({"step": …}) and answers each with one line, so that the test can change rights in between.
// Arguments: the folder with node_modules, the client, the URL, the file of the token, the program that plays gatehouse.
import { createInterface } from 'node:readline'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [modules, kind, url, file, gatehouse] = process.argv.slice(2)
const token = readFileSync(file, 'utf8').trim()
const load = (path) => import(pathToFileURL(`${modules}/${path}`))
const authorization = { Authorization: `Bearer ${token}` }
const read = (r) => ({ error: r.isError ?? false, text: r.content?.[0]?.text, outcome: r._meta?.['io.gatehouse/outcome']?.code })
const info = { name: 'test', version: '1' }

// protocol is a client with the methods of the official ones.
const protocol = (client, transport) => ({
  connect: async () => { await client.connect(transport); return 'connected' },
  list: async () => (await client.listTools()).tools.map((t) => t.name).join(' '),
  call: async (s) => read(await client.callTool({ name: s.name, arguments: s.arguments })),
  close: () => client.close(),
})

const sdk = async (transport) => {
  const { Client } = await load('@modelcontextprotocol/sdk/dist/esm/client/index.js')
  return protocol(new Client(info), transport)
}

const stdio = async (command, args, env) => {
  const { StdioClientTransport } = await load('@modelcontextprotocol/sdk/dist/esm/client/stdio.js')
  return sdk(new StdioClientTransport({ command, args, env: { ...process.env, ...env }, stderr: 'ignore' }))
}

const next = async (options) => {
  const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client/dist/index.mjs')
  return protocol(new Client(info, options), new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: authorization } }))
}

// inspector is a program for one request: it connects anew each time.
const inspector = (era) => {
  const ask = (...more) => new Promise((done, fail) => {
    const args = [`${modules}/@modelcontextprotocol/inspector/clients/launcher/build/index.js`, '--cli', url, '--transport', 'http',
      '--header', `Authorization: Bearer ${token}`, '--protocol-era', era, ...more]
    execFile(process.execPath, args, { maxBuffer: 1 << 26 }, (error, out, errs) => {
      try { done(JSON.parse(out)) } catch { fail(new Error(`${errs || error || out}`)) }
    })
  })
  return {
    connect: async () => 'connected',
    list: async () => (await ask('--method', 'tools/list')).tools.map((t) => t.name).join(' '),
    call: async (s) => {
      const given = Object.entries(s.arguments).flatMap(([k, v]) => ['--tool-arg', `${k}=${v}`])
      try {
        return read(await ask('--method', 'tools/call', '--tool-name', s.name, ...given))
      } catch (e) {
        // It looks into the list first, and calls nothing that does not stand there.
        if (String(e.message).includes('"tool_not_found"')) return { error: true, text: e.message, outcome: 'not listed' }
        throw e
      }
    },
    close: async () => {},
  }
}

// ai calls its tools as a model would have it: the model is one of the kit's own, which asks for one call.
const ai = async () => {
  const { createMCPClient } = await load('@ai-sdk/mcp/dist/index.js')
  const { generateText } = await load('ai/dist/index.js')
  let client, known
  return {
    connect: async () => { client = await createMCPClient({ transport: { type: 'http', url, headers: authorization } }); return 'connected' },
    list: async () => { known = await client.tools(); return Object.keys(known).join(' ') },
    call: async (s) => {
      let tool = known[s.name]
      if (tool === undefined) { // a name that the model made up: the kit asks nobody, so ask the gate past it
        return read(await client.callTool({ name: s.name, arguments: s.arguments }))
      }
      const usage = { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } }
      const model = {
        specificationVersion: 'v4', provider: 'test', modelId: 'test', supportedUrls: {},
        doGenerate: async () => ({
          content: [{ type: 'tool-call', toolCallId: '1', toolName: s.name, input: JSON.stringify(s.arguments) }],
          finishReason: { unified: 'tool-calls', raw: 'tool-calls' }, usage, warnings: [],
        }),
      }
      const { content } = await generateText({ model, tools: known, prompt: 'call it' })
      const failed = content.find((c) => c.type === 'tool-error')
      if (failed) throw failed.error
      return read(content.find((c) => c.type === 'tool-result').output)
    },
    close: () => client.close(),
  }
}

const kinds = {
  'inspector legacy': () => inspector('legacy'),
  'inspector auto': () => inspector('auto'),
  'inspector modern': () => inspector('modern'),
  'sdk': async () => {
    const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/dist/esm/client/streamableHttp.js')
    return sdk(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: authorization } }))
  },
  'sdk websocket': async () => {
    const { WebSocketClientTransport } = await load('@modelcontextprotocol/sdk/dist/esm/client/websocket.js')
    // Like a page in a browser this client can set no header: the token is a second subprotocol.
    const Plain = globalThis.WebSocket
    globalThis.WebSocket = class extends Plain {
      constructor (address, protocol) { super(address, [protocol, `bearer.${token}`]) }
    }
    return sdk(new WebSocketClientTransport(new URL(url.replace(/^http/, 'ws').replace(/mcp$/, 'ws'))))
  },
  'client default': () => next({}),
  'client auto': () => next({ versionNegotiation: { mode: 'auto' } }),
  'client pin': () => next({ versionNegotiation: { mode: { pin: '2026-07-28' } } }),
  'ai-sdk': ai,
  'mcp-remote': () => stdio(process.execPath, [`${modules}/mcp-remote/dist/proxy.js`, url, '--allow-http', '--transport', 'http-only',
    '--header', 'Authorization:${AUTH}'], { AUTH: `Bearer ${token}`, MCP_REMOTE_CONFIG_DIR: `${file}.d` }),
  'gatehouse stdio': () => stdio(gatehouse, ['stdio', '--url', url, '--token-file', file], {}),
}

const steps = await kinds[kind]()
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
await steps.close().catch(() => {}) // without a right to be here the session cannot be ended
process.exit(0)
