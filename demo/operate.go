package demo

import (
	"context"
	"encoding/json"
	"fmt"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// operate makes a call as the operator, over the operator's socket, that must end well.
func (t *tour) operate(ctx context.Context, tool string, args map[string]any) (canon.Value, error) {
	if args == nil {
		args = map[string]any{}
	}
	v, err := canon.From(args)
	if err != nil {
		return canon.Value{}, fmt.Errorf("writing the arguments of %s: %w", tool, err)
	}
	o, err := t.operator.Call(ctx, tool, v)
	if err != nil {
		return canon.Value{}, err
	}
	if o.Code != outcome.OK {
		return canon.Value{}, fmt.Errorf("%s: %w", tool, o.Code.Because("%s", o.Reason))
	}
	return o.Result, nil
}

func (t *tour) add(ctx context.Context, email, name string, administrator bool) (int64, error) {
	var added struct {
		Person int64 `json:"person"`
	}
	args := map[string]any{"email": email, "name": name}
	if administrator {
		args["administrator"] = true
	}
	v, err := t.operate(ctx, "people.add", args)
	if err == nil {
		err = json.Unmarshal(v.Bytes(), &added)
	}
	return added.Person, err
}

func (t *tour) permit(ctx context.Context, person int64, grants map[string]string) error {
	var now struct {
		Version int64 `json:"version"`
	}
	v, err := t.operate(ctx, "permissions.get", map[string]any{"person": person})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(v.Bytes(), &now); err != nil {
		return fmt.Errorf("reading permissions: %w", err)
	}
	_, err = t.operate(ctx, "permissions.set", map[string]any{"person": person, "version": now.Version, "grants": grants})
	return err
}

func (t *tour) issue(ctx context.Context, person int64, agent string, more map[string]any) (token, error) {
	args := map[string]any{"person": person, "agent": agent, "ttl_seconds": 3600}
	for k, v := range more {
		args[k] = v
	}
	var issued struct {
		ID    int64  `json:"token_id"`
		Token string `json:"token"`
	}
	v, err := t.operate(ctx, "tokens.issue", args)
	if err == nil {
		err = json.Unmarshal(v.Bytes(), &issued)
	}
	return token{issued.ID, issued.Token}, err
}
