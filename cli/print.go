package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
)

// say prints one line of the result.
func (r *run) say(format string, args ...any) error {
	_, err := fmt.Fprintln(r.out, visible(fmt.Sprintf(format, args...)))
	return err
}

// note prints one line for whoever looks on, apart from the result.
func (r *run) note(format string, args ...any) {
	_, _ = fmt.Fprintln(r.errs, visible(fmt.Sprintf(format, args...)))
}

// sayJSON prints JSON text as one line.
func (r *run) sayJSON(text string) error {
	_, err := fmt.Fprintln(r.out, visibleJSON(text))
	return err
}

// sayAsJSON prints a value of ours as one line of JSON.
func (r *run) sayAsJSON(v any) error {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return r.sayJSON(string(text))
}

// table prints rows in columns under their headings.
func (r *run) table(headings []string, rows [][]string) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, cells := range append([][]string{headings}, rows...) {
		for i, cell := range cells {
			cells[i] = visible(cell)
			if cells[i] == "" {
				cells[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}
