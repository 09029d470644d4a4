package policy

import (
	"context"
	"embed"
	"fmt"
	"time"

	"gatehouse/canon"
	"gatehouse/policy"
	"gatehouse/store"
)

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// record is one row of rule: a rule that was made at run time.
type record struct {
	id      int64
	version int64
	rule    policy.Rule // its name is the id
}

// rows is all the SQL of rules.
type rows struct{ db *store.DB }

func (rows) all(ctx context.Context, q store.Queries) (list []record, err error) {
	err = q.All(ctx, func(scan func(...any) error) error {
		var r record
		var decision, decide string
		var expire int64
		err := scan(&r.id, &r.version, &r.rule.Author, &r.rule.Tool, &r.rule.When, &decision, &decide, &r.rule.FourEyes, &expire,
			&r.rule.Reason, &r.rule.Shadow)
		if err != nil {
			return err
		}
		r.rule.Name, r.rule.Expire = nameOf(r.id), time.Duration(expire)*time.Millisecond
		if r.rule.Then, err = policy.ParseDecision(decision); err != nil {
			return fmt.Errorf("rule %d: %w", r.id, err)
		}
		v, err := canon.Parse([]byte(decide))
		if err == nil {
			err = v.Decode(&r.rule.Decide)
		}
		if err != nil {
			return fmt.Errorf("deciders of rule %d: %w", r.id, err)
		}
		list = append(list, r)
		return nil
	}, `SELECT id, version, author, tool, condition, decision, decide, four_eyes, expire, reason, shadow FROM rule ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	return list, nil
}

// changes is how often the table was written by any replica. PostgreSQL only.
func (r rows) changes(ctx context.Context) (n int64, err error) {
	err = r.db.Get(ctx, []any{&n}, `SELECT n FROM change`)
	return n, err
}

func (rows) add(ctx context.Context, q store.Queries, r policy.Rule) (int64, error) {
	decide, err := canon.From(append([]string{}, r.Decide...))
	if err != nil {
		return 0, err
	}
	return q.Insert(ctx, `INSERT INTO rule (id, version, author, tool, condition, decision, decide, four_eyes, expire, reason, shadow)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
		r.Author, r.Tool, r.When, r.Then.String(), decide.String(), r.FourEyes, r.Expire.Milliseconds(), r.Reason, r.Shadow)
}

// replace is outcome.Conflict where the rule has another version, or is gone.
func (rows) replace(ctx context.Context, q store.Queries, id, version int64, r policy.Rule) error {
	decide, err := canon.From(append([]string{}, r.Decide...))
	if err != nil {
		return err
	}
	return q.Update(ctx, `UPDATE rule SET version = version + 1, author = $1, tool = $2, condition = $3, decision = $4, decide = $5,
		four_eyes = $6, expire = $7, reason = $8, shadow = $9 WHERE id = $10 AND version = $11`,
		r.Author, r.Tool, r.When, r.Then.String(), decide.String(), r.FourEyes, r.Expire.Milliseconds(), r.Reason, r.Shadow, id, version)
}

// remove is outcome.Conflict where the rule has another version, or is gone.
func (rows) remove(ctx context.Context, q store.Queries, id, version int64) error {
	return q.Update(ctx, `DELETE FROM rule WHERE id = $1 AND version = $2`, id, version)
}
