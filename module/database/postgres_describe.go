package database

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"gatehouse/outcome"
)

// kinds of relations that hold rows for reading, and which of them the login may read. A name is written as SQL takes it,
// with its schema where search_path does not lead to it.
const postgresRelations = `FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
	AND (pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE'))`

const postgresNamed = `SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END || pg_catalog.quote_ident(c.relname),
	CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END `

// tables implements engine.
func (p *postgres) tables(ctx context.Context) (Tables, error) {
	t := Tables{Tables: []Named{}}
	err := p.with(ctx, beginReading, func(conn *pgconn.PgConn) error {
		r, err := run(ctx, conn, postgresNamed+postgresRelations+
			` AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' ORDER BY 1 LIMIT `+strconv.Itoa(maxTables))
		for _, row := range rowsOf(r) {
			t.Tables = append(t.Tables, Named{row[0], row[1]})
		}
		return err
	})
	return t, err
}

// describe implements engine.
func (p *postgres) describe(ctx context.Context, name string) (Table, error) {
	t := Table{Columns: []Field{}, Indexes: []Index{}, ForeignKeys: []Reference{}}
	err := p.with(ctx, beginReading, func(conn *pgconn.PgConn) error {
		r, err := run(ctx, conn, postgresNamed+", c.oid::text "+postgresRelations+" AND c.oid = pg_catalog.to_regclass($1)", []byte(name))
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "42602" || pg.Code == "42601" || pg.Code == "0A000") { // no name at all
			err, r = nil, nil
		}
		if err != nil {
			return err
		}
		found := rowsOf(r)
		if len(found) == 0 {
			return outcome.NotFound.Because("there is no such table; database.tables lists what there is")
		}
		t.Name, t.Kind = found[0][0], found[0][1]
		return t.fillPostgres(ctx, conn, found[0][2])
	})
	return t, err
}

// fillPostgres asks for what belongs to a table: https://www.postgresql.org/docs/current/catalogs.html.
func (t *Table) fillPostgres(ctx context.Context, conn *pgconn.PgConn, oid string) error {
	id := []byte(oid)
	r, err := run(ctx, conn, `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ''),
		coalesce(pg_catalog.array_position(k.indkey::int2[], a.attnum) + 1, 0), a.attgenerated <> '' OR a.attidentity <> ''
		FROM pg_catalog.pg_attribute AS a LEFT JOIN pg_catalog.pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
		LEFT JOIN pg_catalog.pg_index AS k ON k.indrelid = a.attrelid AND k.indisprimary
		WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, id)
	if err != nil {
		return err
	}
	for _, row := range rowsOf(r) {
		key, _ := strconv.ParseInt(row[4], 10, 64)
		t.Columns = append(t.Columns, Field{row[0], row[1], row[2] == "t", row[3], key, row[5] == "t"})
	}
	r, err = run(ctx, conn, `SELECT i.relname, x.indisunique, coalesce(a.attname, '')
		FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
		CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS u(attnum, place)
		LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = u.attnum AND u.attnum > 0
		WHERE x.indrelid = $1::pg_catalog.oid AND u.place <= x.indnkeyatts ORDER BY i.relname, u.place`, id)
	if err != nil {
		return err
	}
	for _, row := range rowsOf(r) {
		t.addIndex(row[0], row[1] == "t", row[2])
	}
	r, err = run(ctx, conn, `SELECT a.attname, CASE WHEN pg_catalog.pg_table_is_visible(o.oid) THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END || pg_catalog.quote_ident(o.relname), b.attname
		FROM pg_catalog.pg_constraint AS f JOIN pg_catalog.pg_class AS o ON o.oid = f.confrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = o.relnamespace
		CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey)) WITH ORDINALITY AS u(mine, theirs, place)
		JOIN pg_catalog.pg_attribute AS a ON (a.attrelid, a.attnum) = (f.conrelid, u.mine) JOIN pg_catalog.pg_attribute AS b ON (b.attrelid, b.attnum) = (f.confrelid, u.theirs)
		WHERE f.contype = 'f' AND f.conrelid = $1::pg_catalog.oid ORDER BY f.conname, u.place`, id)
	if err != nil {
		return err
	}
	for _, row := range rowsOf(r) {
		t.ForeignKeys = append(t.ForeignKeys, Reference{row[0], row[1], row[2]})
	}
	return nil
}

// addIndex takes one column of an index; those of one index come one after the other.
func (t *Table) addIndex(name string, unique bool, column string) {
	if n := len(t.Indexes); n == 0 || t.Indexes[n-1].Name != name {
		t.Indexes = append(t.Indexes, Index{Name: name, Unique: unique})
	}
	last := &t.Indexes[len(t.Indexes)-1]
	last.Columns = append(last.Columns, column)
}

// rowsOf gives the rows of a statement of ours as text.
func rowsOf(r *pgconn.Result) [][]string {
	if r == nil {
		return nil
	}
	all := make([][]string, len(r.Rows))
	for i, row := range r.Rows {
		all[i] = make([]string, len(row))
		for j, v := range row {
			all[i][j] = string(v)
		}
	}
	return all
}
