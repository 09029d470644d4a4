package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/canon"
	"gatehouse/wire"
)

// maxFile is the most bytes that the files server reads or takes.
const maxFile = 1 << 20

// filesTools are the tools of the files server as it lists them.
const filesTools = `{"tools":[
{"name":"list_directory","description":"List a folder.","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}},
{"name":"read_file","description":"Read a text file.","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}},
{"name":"write_file","description":"Write a text file, in the place of an older one.","inputSchema":{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"}},"required":["path","content"],"additionalProperties":false}}
]}`

// ServeFiles is a small MCP server over standard input and output, for the demo to have a real one behind the gate. It
// serves the text files of one folder, and adds one byte to the file count for each call that reaches it, so that the
// tour can show what the downstream side saw. It ends with its input.
func ServeFiles(dir, count string, in io.Reader, out io.Writer) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the folder: %w", err)
	}
	s := filesServer{dir: dir, root: root, count: count}
	lines := wire.NewLines(in, 2*maxFile)
	buffered := bufio.NewWriter(out)
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return root.Close()
		}
		if err != nil {
			return fmt.Errorf("reading a frame: %w", errors.Join(err, root.Close()))
		}
		f, err := wire.ParseFrame(line)
		var answer []byte
		switch {
		case err != nil:
			var e *wire.Error
			if !errors.As(err, &e) {
				e = wire.InternalError.Because("it failed inside")
			}
			answer = wire.AppendError(nil, f.ID, e)
		case f.Kind == wire.Request:
			answer = s.answer(f)
		default:
			continue
		}
		_, err = buffered.Write(append(answer, '\n'))
		if err := errors.Join(err, buffered.Flush()); err != nil {
			return fmt.Errorf("writing a frame: %w", errors.Join(err, root.Close()))
		}
	}
}

type filesServer struct {
	dir   string
	root  *os.Root
	count string
}

func (s filesServer) answer(f wire.Frame) []byte {
	switch f.Method {
	case "initialize":
		revision := f.Revision().Initialize()
		return wire.AppendResult(nil, f.ID, `{"protocolVersion":"`+string(revision)+
			`","capabilities":{"tools":{}},"serverInfo":{"name":"files","version":"1"}}`)
	case "ping":
		return wire.AppendResult(nil, f.ID, `{}`)
	case "tools/list":
		return wire.AppendResult(nil, f.ID, strings.ReplaceAll(filesTools, "\n", ""))
	case "tools/call":
		call, err := f.ToolCall()
		if err != nil {
			return wire.AppendError(nil, f.ID, wire.InvalidParams.Because("%v", err))
		}
		text, failed := s.call(call)
		if failed != nil {
			text = failed.Error()
		}
		result, err := canon.From(map[string]any{
			"content": []map[string]string{{"type": "text", "text": text}}, "isError": failed != nil,
		})
		if err != nil {
			return wire.AppendError(nil, f.ID, wire.InternalError.Because("the result cannot be written"))
		}
		return wire.AppendResult(nil, f.ID, result.String())
	}
	return wire.AppendError(nil, f.ID, wire.MethodNotFound.Because("there is no method %q", f.Method))
}

func (s filesServer) call(c wire.Call) (string, error) {
	if err := s.counted(); err != nil {
		return "", err
	}
	var args struct {
		Path    string `json:"path"`
		Content string `json:"content"`
	}
	if err := json.Unmarshal(c.Arguments.Bytes(), &args); err != nil {
		return "", fmt.Errorf("reading the arguments: %w", err)
	}
	path := args.Path
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return "", fmt.Errorf("finding %s: %w", path, err)
		}
		path = rel
	}
	switch c.Name {
	case "list_directory":
		entries, err := fs.ReadDir(s.root.FS(), filepath.ToSlash(filepath.Clean(path)))
		if err != nil {
			return "", err
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, "\n"), nil
	case "read_file":
		b, err := s.root.ReadFile(path)
		if len(b) > maxFile {
			return "", fmt.Errorf("%s has more than %d bytes", args.Path, maxFile)
		}
		return string(b), err
	case "write_file":
		if err := s.root.WriteFile(path, []byte(args.Content), 0o600); err != nil {
			return "", err
		}
		return "written", nil
	}
	return "", fmt.Errorf("there is no tool %q", c.Name)
}

// counted notes that a call arrived.
func (s filesServer) counted() error {
	f, err := os.OpenFile(s.count, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("counting the call: %w", err)
	}
	_, err = f.Write([]byte{'.'})
	return errors.Join(err, f.Close())
}
