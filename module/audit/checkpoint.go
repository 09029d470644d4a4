package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

const (
	checkpointRows  = 10_000      // new rows after which a checkpoint is made
	checkpointEvery = time.Minute // for fewer of them, as long as there is one
	leavesAtOnce    = 5_000       // read in one statement
)

// checkpointer makes signed checkpoints in a goroutine of its own: no row waits for one. It only ever adds rows to the tree
// that it signed last, so it cannot sign two histories, nor fewer rows than before.
type checkpointer struct {
	rows  rows
	key   *signingKey
	files []string
	last  func() place
	log   *slog.Logger
	stop  chan struct{}
	ended chan struct{}

	mu    sync.Mutex // guards tree, at and wrote
	tree  tree
	at    gate.RowID // the last row in the tree
	wrote bool       // the newest checkpoint is in the table and in all files

	// The goroutine's alone, then close's.
	made    time.Time
	failing bool
}

func newCheckpointer(r rows, key *signingKey, files []string, last func() place, log *slog.Logger) *checkpointer {
	return &checkpointer{rows: r, key: key, files: files, last: last, log: log, stop: make(chan struct{}), ended: make(chan struct{})}
}

// load takes up the tree where the last checkpoint left it.
func (c *checkpointer) load(ctx context.Context) error {
	signed, err := c.rows.makeCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("making the place of checkpoints: %w", err)
	}
	if c.tree, c.at = signed.tree, signed.last; c.tree.n > c.last().n {
		return fmt.Errorf("there is a checkpoint of %d rows, and the log has %d: run gatehouse audit verify", c.tree.n, c.last().n)
	}
	return nil
}

func (c *checkpointer) run() {
	defer close(c.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		fresh, wrote := c.fresh()
		if due := fresh >= checkpointRows || time.Since(c.made) >= checkpointEvery; due && (fresh > 0 || !wrote) {
			c.makeOrSay()
		}
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
	}
}

// fresh is how many rows are in no checkpoint yet, and whether the newest checkpoint is kept.
func (c *checkpointer) fresh() (rows int64, wrote bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last().n - c.tree.n, c.wrote
}

// upTo gives the tree over the rows up to one, which is the last now.
func (c *checkpointer) upTo(ctx context.Context, from store.Queries, last place) (tree, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.growLocked(ctx, from, last.n, nil); err != nil {
		return tree{}, err
	}
	if c.tree.n != last.n {
		return tree{}, fmt.Errorf("the tree has %d rows, and the log %d", c.tree.n, last.n)
	}
	return tree{c.tree.n, slices.Clone(c.tree.edge)}, nil
}

// growLocked brings the tree to a row. Closing stop ends it between two pages of rows.
func (c *checkpointer) growLocked(ctx context.Context, from store.Queries, to int64, stop <-chan struct{}) error {
	for c.tree.n < to {
		before := c.tree.n
		if err := leaves(ctx, from, c.at, min(leavesAtOnce, to-before), c.add); err != nil {
			return fmt.Errorf("reading the rows after %d: %w", c.tree.n, err)
		}
		if c.tree.n == before {
			return fmt.Errorf("row %d is missing", before+1)
		}
		select {
		case <-stop:
			return errStopped
		default:
		}
	}
	return nil
}

var errStopped = errors.New("the log is being closed")

// makeOrSay logs when checkpoints begin to fail. Rows are written all the same: the next checkpoint covers them.
func (c *checkpointer) makeOrSay() {
	err := c.make(c.stop)
	if err != nil && !c.failing {
		c.log.Error("no checkpoint of the log can be made or kept", "error", err)
	}
	c.failing = err != nil
}

// make brings the tree to the last row, signs its root and keeps it. Closing stop ends it between two pages of rows.
func (c *checkpointer) make(stop <-chan struct{}) error {
	c.made = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.growLocked(ctx, c.rows.db, c.last().n, stop); errors.Is(err, errStopped) {
		return nil
	} else if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: Checkpoint{c.tree.n, c.tree.root()}.String()}, c.key.signer)
	if err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	err = c.rows.keepCheckpoint(ctx, signedTree{c.tree, c.at, string(signed)})
	for _, file := range c.files {
		err = errors.Join(err, replaceFile(file, signed, 0o644))
	}
	c.wrote = err == nil
	return err
}

// add takes one row into the tree.
func (c *checkpointer) add(id gate.RowID, n int64, hash []byte) error {
	if n != c.tree.n+1 {
		return fmt.Errorf("row %s has number %d, and %d would be next", id, n, c.tree.n+1)
	}
	c.tree.add(hash)
	c.at = id
	return nil
}

// close makes the last checkpoint.
func (c *checkpointer) close() error {
	close(c.stop)
	<-c.ended
	if fresh, wrote := c.fresh(); wrote && fresh == 0 {
		return nil
	}
	if err := c.make(nil); err != nil {
		return fmt.Errorf("keeping the last checkpoint of the log: %w", err)
	}
	return nil
}

// treeCheck is a checkpoint that the rows of its size must fit.
type treeCheck struct {
	Checkpoint
	whose string
}

// beginTree reads the checkpoints that the rows will be held against.
func (v *verification) beginTree(ctx context.Context) error {
	if v.keptTree != "" {
		c, err := openCheckpoint(v.keptTree, v.public)
		if err != nil {
			return fmt.Errorf("the checkpoint that was kept elsewhere: %w", err)
		}
		v.trees = append(v.trees, treeCheck{c, "the checkpoint that was kept elsewhere"})
		v.report.Kept = max(v.report.Kept, c.Rows)
	}
	stored, err := v.rows.checkpoint(ctx)
	if errors.Is(err, outcome.NotFound) || err == nil && stored.signed == "" {
		return v.compareTrees() // none was made yet
	}
	if err != nil {
		return wrong("the checkpoint cannot be read: %v", err)
	}
	c, err := openCheckpoint(stored.signed, v.public)
	if err != nil {
		return wrong("the checkpoint: %v", err)
	}
	if (c != Checkpoint{stored.tree.n, stored.tree.root()}) {
		return wrong("the checkpoint says %d rows, and what was kept for the next one says something else", c.Rows)
	}
	v.trees = append(v.trees, treeCheck{c, "the checkpoint"})
	return v.compareTrees()
}

// compareTrees holds the rows that were reached against the checkpoints of their number.
func (v *verification) compareTrees() error {
	for _, c := range v.trees {
		if c.Rows == v.tree.n && c.Root != v.tree.root() {
			return wrongAt(v.at.id, v.at.n, "%s is of another history: of its %d rows, up to this one, some were replaced", c.whose, c.Rows)
		}
	}
	return nil
}

// endTrees finds checkpoints of rows that are not there.
func (v *verification) endTrees() error {
	for _, c := range v.trees {
		if c.Rows > v.tree.n {
			return wrong("the tail is cut: %s says that there are %d rows, and the log ends with number %d, row %s",
				c.whose, c.Rows, v.at.n, orNone(v.at.id))
		}
	}
	return nil
}
