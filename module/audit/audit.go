// Package audit is the log: one row for each call that arrived, chained by hashes, with heads that are signed. It must
// never change or drop a row that was written, and never answer before what it answers is durable.
//
// One goroutine, the writer, owns all writes: it takes everybody who waits into one transaction and answers them after the
// commit. All methods may be called from any goroutine.
//
// What is written is described, with vectors, in docs/audit-format.md. A row has two parts: the row itself, which is
// hashed and never changes, and its payload (arguments, result, reason, task, findings), which is sealed under the
// person's key and to which the row commits. Heads and checkpoints of a Merkle tree over the rows are signed notes: https://c2sp.org/signed-note.
//
// Files: the database of this module; [Config].KeyFile (mode 0600, the key that signs) and beside it the same name with
// .pub; [Config].HeadFile; [Config].Checkpoints.
package audit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
	"gatehouse/store"
)

var (
	searchKey = gate.NewKey("audit/search")
	getKey    = gate.NewKey("audit/get")
	verifyKey = gate.NewKey("audit/verify")
	sumsKey   = gate.NewKey("audit/sums")
	exportKey = gate.NewKey("audit/export")
	pruneKey  = gate.NewKey("audit/prune")
)

//go:embed sqlite postgres
var migrations embed.FS

// Config says what the log keeps and with what it seals and signs.
type Config struct {
	Payload int64 // bytes of the arguments, and of the result, that are kept; zero: 16 KiB
	// Keep is how long payloads are kept, at least a day; zero: 90 days.
	Keep     time.Duration
	HeadFile string // a second place for the signed head, best on another machine's disk; empty: none
	// Checkpoints are the files that hold the newest signed checkpoint.
	Checkpoints []string
	Sealer      gate.Sealer // seals payloads; required
	PerDay      gate.Money  // what calls for one person may cost on one day, UTC; zero: not limited
	KeyFile     string      // the key that signs heads, made at the first start; required

	// Place names what only one process can hold, such as the data folder that it has locked, so that what the last holder
	// left is settled at once; empty: replicas are told apart by their leases alone. PostgreSQL only.
	Place string

	full func(error) bool // what counts as a full disk; nil: what does. Tests have others
}

const defaultPayload = 16 << 10

// Module is the log: it implements [gate.Log], and offers the tools audit.*.
type Module struct {
	rows         rows
	source       store.Source
	sealer       gate.Sealer
	payload      int64
	keep         time.Duration
	log          *slog.Logger
	uses         *uses
	work         *os.Root // holds exports until they are fetched
	budgets      *budgets
	writer       *writer
	signer       *signer
	checkpointer *checkpointer
	closing      sync.Once
	closed       error
}

var (
	_ gate.Scheduled = (*Module)(nil)
	_ gate.Log       = (*Module)(nil)
)

// New opens the log. Calls that were under way when the process last ended become rows with the outcome unknown before it
// returns. It refuses a log that does not end where its head says.
func New(ctx context.Context, kit module.Kit, c Config) (*Module, error) {
	if c.Sealer == nil || c.KeyFile == "" {
		return nil, errors.New("opening the log: it needs a sealer and a key file")
	}
	if c.Payload <= 0 {
		c.Payload = defaultPayload
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	if c.Keep < youngest {
		return nil, fmt.Errorf("opening the log: payloads must be kept for %s at least", youngest)
	}
	db, err := kit.OpenWith(ctx, databaseConfig())
	if err != nil {
		return nil, err
	}
	m := &Module{rows: rows{db}, source: kit.Source, sealer: c.Sealer, payload: c.Payload, keep: c.Keep, log: kit.Log, uses: newUses(), budgets: newBudgets(c.PerDay)}
	if m.work, err = kit.Root(); err != nil {
		return nil, err
	}
	end, err := m.rows.last(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the log: reading the last row: %w", err)
	}
	key, err := openKey(c.KeyFile, end.n, kit.Log)
	if err != nil {
		return nil, err
	}
	m.writer = newWriter(m.rows, m.uses, m.budgets, c.Place, m.makeRoom(kit.Source.Dir, c.full), kit.Log)
	m.checkpointer = newCheckpointer(m.rows, key, c.Checkpoints, m.writer.last, kit.Log)
	m.writer.segments = segmenter{key: key, upTo: m.checkpointer.upTo}
	if err := m.writer.begin(ctx, m.checkpointer.load); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	m.signer = newSigner(m.rows, key, c.HeadFile, m.writer.last, kit.Log)
	m.signer.begin() // so there is no row yet that was written without a signed head
	go m.checkpointer.run()
	return m, nil
}

// Name implements gate.Module.
func (*Module) Name() string { return "audit" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("search", searchKey, gate.Spec{
			Title: "Search the log",
			Description: "Lists rows of the audit log, newest first: own rows, or everybody's for those who keep the house. " +
				"With after and wait_seconds it follows the log instead, oldest first.",
			Effect: gate.Reads,
		}, m.search),
		gate.AccessControlled("get", getKey, gate.Spec{
			Title:       "Read one row of the log",
			Description: "Gives one row of the audit log by its id, and for an own row also its arguments, result and reason.",
			Effect:      gate.Reads,
		}, m.get),
		gate.AccessControlled("verify", verifyKey, gate.Spec{
			Title:       "Verify the log",
			Description: "Recomputes the whole chain of the audit log and says whether it holds, or which row is the first that does not.",
			Effect:      gate.Reads, Trusted: true, Deadline: 10 * time.Minute,
		}, m.verify),
		gate.AccessControlled("sums", sumsKey, gate.Spec{
			Title: "Sum up calls",
			Description: "Sums of calls, cost, bytes and time by day (UTC), person, agent and tool, the newest day first: of own calls, " +
				"or everybody's for those who keep the house.",
			Effect: gate.Reads,
		}, m.sums),
		gate.AccessControlled("export", exportKey, gate.Spec{
			Title:       "Export the log",
			Description: "Writes rows of the audit log, without payloads, or a copy of the whole log with sealed ones, into a file in the data folder, for the operator's command.",
			Effect:      gate.Writes, Trusted: true, Who: gate.Persons, Deadline: 30 * time.Minute,
		}, m.export),
		gate.AccessControlled("prune", pruneKey, gate.Spec{
			Title:       "Remove old payloads",
			Description: "Removes the payloads of a range of rows that were kept as long as is configured. The rows themselves stay.",
			Effect:      gate.Destroys, Trusted: true, Who: gate.Jobs, Deadline: 10 * time.Minute,
		}, m.prune),
	}
}

// Counts gives what the log has counted for some tokens, on all replicas.
func (m *Module) Counts(ctx context.Context, ids ...gate.TokenID) (map[gate.TokenID]Count, error) {
	found := make(map[gate.TokenID]Count, len(ids))
	if !m.rows.shared() {
		for _, id := range ids {
			found[id] = m.uses.count(id)
		}
		return found, nil
	}
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		numbers[i] = int64(id)
	}
	counts, err := m.rows.countsOf(ctx, m.writer.replica, numbers)
	if err != nil {
		return nil, fmt.Errorf("reading the counters of tokens: %w", err)
	}
	for id, c := range counts {
		c.Uses += m.uses.underWay(id)
		found[id] = *c
	}
	return found, nil
}

// PublicKey is the key that verifies heads, as a verifier key of a signed note.
func (m *Module) PublicKey() string { return m.signer.key.public }

// Err says why rows cannot be written now: outcome.Unavailable, or nil. Readiness asks it.
func (m *Module) Err() error {
	if err := m.writer.err(); err != nil {
		return err
	}
	return m.rows.db.Clock().Err()
}

// Ping asks the database for a sign of life. Readiness asks it.
func (m *Module) Ping(ctx context.Context) error {
	if err := m.rows.db.Ping(ctx); err != nil {
		return outcome.Unavailable.From(err, "the database of the log does not answer")
	}
	return nil
}

// Close writes what still waits and signs the last head and checkpoint. Calls that come later are outcome.Unavailable. The database is
// closed by whoever made the kit.
func (m *Module) Close() error {
	m.closing.Do(func() {
		m.writer.close()
		m.closed = errors.Join(m.signer.close(), m.checkpointer.close(), m.writer.resign())
	})
	return m.closed
}
