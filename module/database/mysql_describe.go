package database

import (
	"context"
	"strconv"

	"gatehouse/outcome"
)

const mysqlKind = "CASE TABLE_TYPE WHEN 'BASE TABLE' THEN 'table' WHEN 'VIEW' THEN 'view' ELSE LOWER(TABLE_TYPE) END"

// tables implements engine.
func (m *mysqlServer) tables(ctx context.Context) (Tables, error) {
	t := Tables{Tables: []Named{}}
	err := m.with(ctx, "START TRANSACTION READ ONLY", func(ctx context.Context, s *mysqlSession) error {
		rows, err := s.rows(ctx, "SELECT TABLE_NAME, "+mysqlKind+" FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME LIMIT "+strconv.Itoa(maxTables))
		for _, row := range rows {
			t.Tables = append(t.Tables, Named{row[0], row[1]})
		}
		return err
	})
	return t, err
}

// describe implements engine.
func (m *mysqlServer) describe(ctx context.Context, name string) (Table, error) {
	t := Table{Columns: []Field{}, Indexes: []Index{}, ForeignKeys: []Reference{}}
	err := m.with(ctx, "START TRANSACTION READ ONLY", func(ctx context.Context, s *mysqlSession) error {
		found, err := s.rows(ctx, "SELECT TABLE_NAME, "+mysqlKind+" FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return outcome.NotFound.Because("there is no such table; database.tables lists what there is")
		}
		t.Name, t.Kind = found[0][0], found[0][1]
		return t.fillMySQL(ctx, s)
	})
	return t, err
}

// fillMySQL asks for what belongs to a table: https://mariadb.com/kb/en/information-schema-tables/.
func (t *Table) fillMySQL(ctx context.Context, s *mysqlSession) error {
	rows, err := s.rows(ctx, `SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.IS_NULLABLE, COALESCE(c.COLUMN_DEFAULT, ''), COALESCE(k.SEQ_IN_INDEX, 0), c.EXTRA
		FROM information_schema.COLUMNS AS c LEFT JOIN information_schema.STATISTICS AS k
		ON k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME AND k.COLUMN_NAME = c.COLUMN_NAME AND k.INDEX_NAME = 'PRIMARY'
		WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = ? ORDER BY c.ORDINAL_POSITION`, t.Name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		key, _ := strconv.ParseInt(row[4], 10, 64)
		t.Columns = append(t.Columns, Field{row[0], row[1], row[2] == "NO", row[3], key, generated(row[5])})
	}
	rows, err = s.rows(ctx, `SELECT INDEX_NAME, NON_UNIQUE, COALESCE(COLUMN_NAME, '') FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX`, t.Name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		t.addIndex(row[0], row[1] == "0", row[2])
	}
	rows, err = s.rows(ctx, `SELECT COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION`, t.Name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		t.ForeignKeys = append(t.ForeignKeys, Reference{row[0], row[1], row[2]})
	}
	return nil
}

func generated(extra string) bool {
	switch extra {
	case "auto_increment", "VIRTUAL GENERATED", "STORED GENERATED":
		return true
	}
	return false
}
