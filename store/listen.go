package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// listenAgain is how long a listener waits before it connects anew.
const listenAgain = 2 * time.Second

// Listen calls heard whenever a transaction of any process that notified a channel has been committed, until ctx ends;
// after a lost connection it is called once too, since something may have been missed. It is a hint and no more: what must
// hold is compared in transactions. On SQLite, where no other process writes, it returns at once.
func Listen(ctx context.Context, s Source, channel string, heard func()) {
	if s.engine() != Postgres {
		return
	}
	for ctx.Err() == nil {
		listenOnce(ctx, s, channel, heard)
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

// listenOnce listens until the connection breaks. Why it broke is of no use to anybody: the stores say so as well.
func listenOnce(ctx context.Context, s Source, channel string, heard func()) {
	config, err := postgresConfig(s.Run, "listener")
	if err != nil {
		return
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+quoted(channel)); err != nil {
		return
	}
	heard()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return
		}
		heard()
	}
}
