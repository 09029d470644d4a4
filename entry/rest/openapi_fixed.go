package rest

// What stands in every caller's document, whatever it may call.
const (
	fixedPaths = `"/healthz":{"get":{"operationId":"healthz","tags":["gatehouse"],"summary":"The process is up","security":[],` +
		`"responses":{"200":{"description":"It is.","content":{"application/json":{"schema":{"$ref":"#/components/schemas/status"}}}}}}},` +
		`"/readyz":{"get":{"operationId":"readyz","tags":["gatehouse"],"summary":"Calls can be served","security":[],` +
		`"responses":{"200":{"description":"They can.","content":{"application/json":{"schema":{"$ref":"#/components/schemas/status"}}}},` +
		`"503":{"$ref":"#/components/responses/problem"}}}},` +
		`"/v1/tools":{"get":{"operationId":"listTools","tags":["gatehouse"],"summary":"The tools that you may call now",` +
		`"responses":{"200":{"description":"The tools, sorted by name.","content":{"application/json":{"schema":{"$ref":"#/components/schemas/tools"}}}},` +
		`"default":{"$ref":"#/components/responses/problem"}}}},` +
		`"/v1/openapi.json":{"get":{"operationId":"openAPI","tags":["gatehouse"],"summary":"This document",` +
		`"responses":{"200":{"description":"OpenAPI 3.1.","content":{"application/json":{"schema":{"type":"object"}}}},` +
		`"default":{"$ref":"#/components/responses/problem"}}}}`

	fixedComponents = `"securitySchemes":{"bearer":{"type":"http","scheme":"bearer","description":"A sub-token: st_…"}},` +
		`"parameters":{` +
		`"session":{"name":"Gatehouse-Session","in":"header","description":"A name of yours for what belongs together; for display and the task, never for rights.","schema":{"type":"string"}},` +
		`"task":{"name":"Gatehouse-Task","in":"header","description":"What your person wants done; read on a session's first call.","schema":{"type":"string"}},` +
		`"idempotency":{"name":"Idempotency-Key","in":"header","description":"The same key with the same arguments gives the kept outcome of the first call; with others, conflict.","schema":{"type":"string","minLength":1,"maxLength":200}},` +
		`"match":{"name":"If-Match","in":"header","description":"The version that you saw.","schema":{"type":"string"}},` +
		`"matched":{"name":"If-Match","in":"header","required":true,"description":"The version that you saw, as the ETag of the GET gave it.","schema":{"type":"string"}}},` +
		`"responses":{"problem":{"description":"It was not carried out, or not to its end: code and reason say how it ended and what to do.",` +
		`"headers":{"Retry-After":{"description":"Seconds, where waiting helps.","schema":{"type":"integer"}},"WWW-Authenticate":{"description":"With 401.","schema":{"type":"string"}}},` +
		`"content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/problem"}}}}}`

	fixedSchemas = `"id":{"type":"string","description":"The call's row in the log.","examples":["1763871234567-3"]},` +
		`"redactions":{"type":"array","description":"What guards cut out of the result or marked in it.","items":{"type":"object","required":["kind","count"],` +
		`"properties":{"kind":{"type":"string"},"count":{"type":"integer"}}}},` +
		`"status":{"type":"object","required":["status"],"properties":{"status":{"type":"string"}}},` +
		`"tools":{"type":"object","required":["tools"],"properties":{"tools":{"type":"array","items":{"type":"object",` +
		`"required":["name","title","description","inputSchema","effect","approval"],"properties":{"name":{"type":"string"},"title":{"type":"string"},` +
		`"description":{"type":"string"},"inputSchema":{"type":"object"},"outputSchema":{"type":"object"},` +
		`"effect":{"enum":["reads","writes","destroys"]},"approval":{"enum":["none","ask"]}}}}}},` +
		`"problem":{"type":"object","description":"RFC 9457","required":["type","title","status","code"],"properties":{` +
		`"type":{"type":"string","format":"uri"},"title":{"type":"string"},"status":{"type":"integer"},"code":{"type":"string"},` +
		`"reason":{"type":"string","description":"What to do next."},"id":{"$ref":"#/components/schemas/id"},` +
		`"faults":{"type":"array","items":{"type":"object","required":["path","problem"],"properties":{` +
		`"path":{"type":"string","description":"JSON Pointer into the arguments."},"problem":{"type":"string"}}}},` +
		`"result":{"description":"Where the tool answered with an error of its own."},"redactions":{"$ref":"#/components/schemas/redactions"}}}`
)
