package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// operator makes a command's calls.
type operator struct {
	*run
	gateway *app.Operator
}

// operate does something as the operator, over the server that runs or in this process.
func (r *run) operate(do func(*operator) error) error {
	c, err := r.app()
	if err != nil {
		return err
	}
	gateway, err := app.Operate(r.ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(&operator{r, gateway}), gateway.Close())
}

// attach is operate for what makes sense only while a server runs.
func (r *run) attach(do func(*operator) error) error {
	c, err := r.app()
	if err != nil {
		return err
	}
	gateway, err := app.Attach(r.ctx, c)
	if err != nil {
		return withHint(err, "start it: gatehouse %sserve", dataFlag(c.File.Data))
	}
	return errors.Join(do(&operator{r, gateway}), gateway.Close())
}

// app is what a gateway in this process is made of. A command logs only what an operator must see.
func (r *run) app() (app.Config, error) {
	file, err := r.file()
	return app.Config{File: file, Version: version().Version, Log: r.log(slog.LevelWarn)}, err
}

func (r *run) log(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if r.flags.JSON {
		return slog.New(slog.NewJSONHandler(r.errs, o))
	}
	return slog.New(slog.NewTextHandler(r.errs, o))
}

// call makes one call. Whatever did not end with ok is a refusal.
func (o *operator) call(tool string, arguments any) (gate.Outcome, error) {
	got, err := o.gateway.Call(o.ctx, tool, arguments)
	if err != nil {
		return got, err
	}
	if got.Code != outcome.OK {
		return got, refusal{tool, got}
	}
	return got, nil
}

// ask makes one call and reads its result into what the command shows of it. Members that it does not know, of a newer
// server, are left out.
func ask[T any](o *operator, tool string, arguments any) (result T, raw string, err error) {
	got, err := o.call(tool, arguments)
	if err != nil {
		return result, "", err
	}
	if err := json.Unmarshal(got.Result.Bytes(), &result); err != nil {
		return result, "", fmt.Errorf("reading the result of %s: %w", tool, err)
	}
	return result, got.Result.String(), nil
}

// list reads all pages of a list, at most that many elements; 0 is all. raw are the elements as they came.
func list[T any](o *operator, tool, member string, most int, page func(cursor string) any) (all []T, raw []string, err error) {
	for cursor := ""; ; {
		got, err := o.call(tool, page(cursor))
		if err != nil {
			return nil, nil, err
		}
		elements, _ := got.Result.Member(member)
		for _, e := range elements.Elements {
			var one T
			if err := json.Unmarshal(e.Bytes(), &one); err != nil {
				return nil, nil, fmt.Errorf("reading the result of %s: %w", tool, err)
			}
			if all, raw = append(all, one), append(raw, e.String()); len(all) == most {
				return all, raw, nil
			}
		}
		next, _ := got.Result.Member("cursor")
		if cursor, _ = next.Text(); cursor == "" {
			return all, raw, nil
		}
	}
}

// sayList prints the elements of a list as one JSON object.
func (r *run) sayList(member string, raw []string) error {
	return r.sayJSON(fmt.Sprintf(`{%q:[%s]}`, member, strings.Join(raw, ",")))
}

// person is somebody as people.list shows them.
type person struct {
	ID            gate.PersonID `json:"person"`
	Email         string        `json:"email"`
	Name          string        `json:"name"`
	Administrator bool          `json:"administrator"`
	Active        bool          `json:"active"`
	Added         string        `json:"added"`
}

type peopleArgs struct {
	Email  string `json:"email,omitzero"`
	Cursor string `json:"cursor,omitzero"`
}

// person finds somebody by their address.
func (o *operator) person(email string) (person, error) {
	found, _, err := list[person](o, "people.list", "people", 0, func(cursor string) any { return peopleArgs{email, cursor} })
	if err != nil {
		return person{}, err
	}
	if len(found) != 1 {
		return person{}, withHint(fmt.Errorf("there is nobody with the address %s", email), "gatehouse user list shows who there is")
	}
	return found[0], nil
}

// addresses gives everybody's address.
func (o *operator) addresses() (addresses, error) {
	found, _, err := list[person](o, "people.list", "people", 0, func(cursor string) any { return peopleArgs{Cursor: cursor} })
	if err != nil {
		return nil, err
	}
	all := addresses{}
	for _, p := range found {
		all[p.ID] = p.Email
	}
	return all, nil
}

// addresses are people's addresses by their ids.
type addresses map[gate.PersonID]string

// of names a person; 0 is nobody, and who is not there is their number.
func (a addresses) of(id gate.PersonID) string {
	if email, ok := a[id]; ok || id == 0 {
		return email
	}
	return strconv.FormatInt(int64(id), 10)
}
