package upstream

import (
	"context"
	"fmt"

	"gatehouse/canon"
)

const (
	maxPages = 100
	maxTools = 5000
	// maxTogether bounds the definitions of one server: they are kept in memory, in the table and in every list.
	maxTogether = 16 << 20
	// maxCursor bounds what we send back for a server.
	maxCursor = 64 << 10
)

// left is a tool that is not offered, with the reason. Without a name it is about the list.
type left struct{ name, reason string }

// list asks for all tools, page by page. Of a list without end the beginning is taken. Names of tools that are left out
// go through hide.
func (s *session) list(ctx context.Context, hide func(string) string) (all []definition, out []left, err error) {
	cursors := map[string]bool{}
	room := maxTogether
	cursor := ""
	for range maxPages {
		members := ""
		if cursor != "" {
			members = `"cursor":` + string(canon.AppendString(nil, cursor))
		}
		page, err := s.put(ctx, question{method: "tools/list", members: members, repeats: true})
		if err != nil {
			return nil, nil, fmt.Errorf("tools/list: %w", err)
		}
		tools, _ := page.Member("tools")
		if text := tools.String(); text == "" || text[0] != '[' {
			return nil, nil, fmt.Errorf("tools/list: %w", errUnreadable)
		}
		for _, v := range tools.Elements {
			d, err := parseDefinition(v)
			switch {
			case len(all)+len(out) >= maxTools:
				return all, append(out, left{"", fmt.Sprintf("it has more than %d tools; the others are left out", maxTools)}), nil
			case err != nil:
				out = append(out, left{tidy(hide(d.remote)), err.Error()})
			case d.value.Len() > room:
				return all, append(out, left{"", fmt.Sprintf("its definitions are longer than %d MiB together; the others are left out", maxTogether>>20)}), nil
			default:
				room -= d.value.Len()
				all = append(all, d)
			}
		}
		next, _ := page.Member("nextCursor")
		var more bool
		if cursor, more = next.Text(); !more || cursor == "" {
			return all, out, nil
		}
		if cursors[cursor] || len(cursor) > maxCursor {
			return all, append(out, left{"", "its list of tools does not end: a cursor came twice, or is too long"}), nil
		}
		cursors[cursor] = true
	}
	return all, append(out, left{"", fmt.Sprintf("its list of tools has more than %d pages; the others are left out", maxPages)}), nil
}
