// Package app puts the parts together and runs them. It is the only room that knows all of them, and it must never contain
// a rule: what may happen is decided in the gate, what a module does stands in the module.
//
// A data folder holds:
//
//	lock               held while a process has the folder open
//	serve/lock         held by serve, from before it waits for lock, so that commands wait for its socket instead
//	NAME.db            one SQLite file for each module (none with PostgreSQL)
//	keys/master.json   the master key: without it nothing sealed can be read
//	keys/audit.json    the key that signs the heads of the log
//	audit.checkpoint   the newest signed checkpoint of the log
//	operator.key       proof for the operator's socket, made anew at each start
//	operator.sock      the operator's socket, while serve runs
//	work/NAME/         what a module writes besides
//	restoring/         while a restore runs, or after one that did not end: nothing else may use the folder
//	moved.json         the databases were moved to PostgreSQL, and those here are no longer used
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/egress"
	"gatehouse/entry/socket"
	"gatehouse/gate"
	"gatehouse/guard"
	"gatehouse/httpfront"
	"gatehouse/module"
	"gatehouse/module/audit"
	"gatehouse/module/calls"
	"gatehouse/module/house"
	"gatehouse/module/people"
	"gatehouse/module/policy"
	"gatehouse/module/tokens"
	"gatehouse/module/vault"
	"gatehouse/outcome"
	"gatehouse/sandbox"
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/telemetry"
)

// lastSpans is how long an end waits for the collector of spans.
const lastSpans = 3 * time.Second

// lockWait is how long a start waits for another process to leave the data folder.
const lockWait = 5 * time.Second

// Config is what an App is made of.
type Config struct {
	File    config.File
	Log     *slog.Logger // nil: slog.Default
	Version string       // what the entries say of themselves
	Offline bool         // only the built-in modules: for the operator's commands while no server runs

	// The following are for tests and for the demo, which are programs of their own.
	Modules map[string]Starter            // further modules, each started whether or not it has a section
	Parts   func(gate.Parts) gate.Parts   // puts other parts in the place of some, to see the gate refuse
	Guards  []guard.Guard                 // look after those of every gateway
	Observe func(network, address string) // is told of every connection that is tried
	Deaf    bool                          // does not look by itself what other replicas wrote
}

// App is a whole gateway. Its exported fields do not change.
type App struct {
	Gate *gate.Gate
	Log  *audit.Module

	file     config.File
	version  string
	log      *slog.Logger
	operator secret.Text // the content of operator.key
	people   *people.People
	tokens   *tokens.Module
	policy   *policy.Module
	shared   bool         // other replicas may write the stores too
	cert     *certificate // nil without TLS
	figures  *telemetry.Telemetry
	stopping atomic.Bool
	// databases are the handles that are open, for a backup's cut.
	databases []*store.DB
	backingUp sync.Mutex // held by the one backup that runs
	jobs      []gate.Job
	examined  []gate.Examined
	closers   []func() error // what Close does, in reverse order
	running   sync.WaitGroup // jobs
	following sync.WaitGroup // follow
	stop      context.CancelFunc
}

// New opens the data folder, takes its lock, and makes everything in the order in which it is needed. What it made is
// closed again when it fails.
func New(ctx context.Context, c Config) (_ *App, err error) {
	a := &App{file: c.File, version: c.Version, log: c.Log}
	if a.log == nil {
		a.log = slog.Default()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := harden(); err != nil {
		return nil, err
	}
	data, err := filepath.Abs(c.File.Data)
	if err != nil {
		return nil, fmt.Errorf("finding the data folder: %w", err)
	}
	a.file.Data = data
	if !c.Offline {
		if err := a.announce(ctx, data); err != nil {
			return nil, err
		}
	}
	release, err := store.LockFolder(ctx, data, lockWait)
	if err != nil {
		return nil, fmt.Errorf("opening the data folder %s: %w", data, err)
	}
	a.onClose(release)
	if err := a.usable(); err != nil {
		return nil, err
	}
	if a.operator, err = a.newOperatorKey(); err != nil {
		return nil, err
	}
	source, err := a.source()
	if err != nil {
		return nil, err
	}
	out := egress.New(egress.Config{Observe: c.Observe})
	if !c.Offline && !a.file.TLS.IsZero() {
		if a.cert, err = newCertificate(a.file.TLS, a.log); err != nil {
			return nil, err
		}
	}
	if err := a.measure(out, c.Offline); err != nil {
		return nil, err
	}
	programs, err := sandbox.New(sandbox.Config{Protected: a.file.Private(), Environ: config.ChildEnvironment()})
	if err != nil {
		return nil, err
	}
	kit := func(name string) module.Kit {
		k := module.Kit{
			Name: name, Source: source, Migrate: true, Data: data, Egress: out, Sandbox: programs, Log: a.log,
			Opened: func(db *store.DB) { a.databases = append(a.databases, db) },
		}.Ready()
		a.onClose(k.Close)
		return k
	}
	all, parts, err := a.builtIn(ctx, kit)
	if err != nil {
		return nil, err
	}
	if c.Parts != nil {
		parts = c.Parts(parts)
	}
	if !c.Offline {
		further, err := a.downstream(ctx, kit, c.Modules)
		if err != nil {
			return nil, err
		}
		all = append(all, further...)
	}
	a.shared = !source.Run.IsZero()
	var refresh func(context.Context) (bool, error)
	if a.shared {
		refresh = a.refresh
	}
	a.Gate, err = gate.New(gate.Config{
		Modules: all, Parts: parts, Guards: append(guards(), c.Guards...), OperatorKey: a.operator, Log: a.log,
		Ended: a.figures.Ended, Refresh: refresh,
		Limits: gate.Limits{CallsPerMinute: c.File.Limits.CallsPerMinute, InFlight: c.File.Limits.InFlight},
	})
	if err != nil {
		return nil, a.placed(err)
	}
	a.onClose(a.Gate.Close)
	if a.shared && !c.Deaf && !c.Offline {
		a.follow(context.WithoutCancel(ctx), source)
	}
	for _, m := range all {
		if s, ok := m.(gate.Scheduled); ok {
			a.jobs = append(a.jobs, s.Jobs()...)
		}
		if e, ok := m.(gate.Examined); ok {
			a.examined = append(a.examined, e)
		}
	}
	return a, nil
}

// source says where the databases lie.
func (a *App) source() (s store.Source, err error) {
	s.Dir = a.file.Data
	if a.file.Store.PostgresDSN.IsZero() {
		return s, nil
	}
	if s.Run, err = a.file.Store.PostgresDSN.Read(); err != nil {
		return s, err
	}
	if !a.file.Store.PostgresOwnerDSN.IsZero() {
		s.Owner, err = a.file.Store.PostgresOwnerDSN.Read()
	}
	return s, err
}

// builtIn makes the modules that the gate itself asks.
func (a *App) builtIn(ctx context.Context, kit func(string) module.Kit) (all []gate.Module, parts gate.Parts, err error) {
	v, err := vault.New(ctx, kit("vault"), vault.Config{MasterFile: a.file.MasterFile()})
	if err != nil {
		return nil, parts, err
	}
	// People and tokens before the log, which reads their versions.
	if a.people, err = people.New(ctx, kit("people"), people.Config{}); err != nil {
		return nil, parts, err
	}
	a.tokens, err = tokens.New(ctx, kit("tokens"), tokens.Config{
		DefaultTTL: a.file.Tokens.DefaultTTL, MaxTTL: a.file.Tokens.MaxTTL, MaxPerPerson: a.file.Tokens.MaxPerPerson,
		Permissions: people.Fresh{People: a.people},
		Counts:      a.counts,
	})
	if err != nil {
		return nil, parts, err
	}
	a.Log, err = audit.New(ctx, kit("audit"), audit.Config{
		Payload: int64(a.file.Audit.Payload), HeadFile: a.file.Audit.HeadFile, Sealer: v,
		KeyFile: a.auditKey(), Checkpoints: a.checkpoints(), PerDay: gate.Money(a.file.Limits.BudgetPerDay),
		Keep:  a.file.Audit.KeepPayloads,
		Place: store.FolderIdentity(a.file.Data),
	})
	if err != nil {
		return nil, parts, err
	}
	a.onClose(a.Log.Close)
	kept, err := calls.New(ctx, kit("calls"), calls.Config{Sealer: v})
	if err != nil {
		return nil, parts, err
	}
	if err := a.rules(ctx, kit("policy")); err != nil {
		return nil, parts, err
	}
	home, err := house.New(ctx, kit("house"), house.Config{
		Version: a.version, Storage: a.storage(), Ready: a.Ready, Running: a.calls, Metrics: a.figures.Text, CertEnd: a.certEnd(), Examine: a.examine,
		Backup: a.backup, Revoke: a.tokens.RevokeAll, Folder: a.file.Backup.Folder, Recipients: a.file.Backup.Recipients,
	})
	if err != nil {
		return nil, parts, err
	}
	all = append(a.people.Modules(), a.tokens, a.policy, a.Log, v, kept, home)
	return all, gate.Parts{
		Permissions: a.people, Tokens: a.tokens, Log: a.Log, Vault: v, Results: kept,
		Policy: a.policy,
	}, nil
}

// counts is what the log knows of tokens.
func (a *App) counts(ctx context.Context, ids ...gate.TokenID) (map[gate.TokenID]tokens.Count, error) {
	known, err := a.Log.Counts(ctx, ids...)
	if err != nil {
		return nil, err
	}
	counts := make(map[gate.TokenID]tokens.Count, len(known))
	for id, c := range known {
		counts[id] = tokens.Count{Calls: c.Calls, Uses: c.Uses, LastUsed: c.LastUsed, LastAddress: c.LastAddress, Cost: c.Cost}
	}
	return counts, nil
}

// checkpoints are the files of the newest signed checkpoint: beside the database, and beside the second head.
func (a *App) checkpoints() []string {
	files := []string{filepath.Join(a.file.Data, "audit.checkpoint")}
	if a.file.Audit.HeadFile != "" {
		files = append(files, a.file.Audit.HeadFile+".checkpoint")
	}
	return files
}

// auditKey is the file of the key that signs the heads of the log.
func (a *App) auditKey() string { return filepath.Join(a.file.Data, "keys", "audit.json") }

// downstream starts the modules that the configuration names.
func (a *App) downstream(ctx context.Context, kit func(string) module.Kit, more map[string]Starter) ([]gate.Module, error) {
	starters := maps.Clone(modules)
	maps.Copy(starters, more)
	if err := a.file.KnowModules(slices.Sorted(maps.Keys(starters))...); err != nil {
		return nil, err
	}
	var all []gate.Module
	for _, name := range slices.Sorted(maps.Keys(starters)) {
		section, configured := a.file.Modules[name]
		if _, always := more[name]; !configured && !always {
			continue
		}
		made, err := starters[name](ctx, kit(name), section)
		if err != nil {
			return nil, err
		}
		for _, m := range made {
			if c, ok := m.(io.Closer); ok {
				a.onClose(c.Close)
			}
		}
		all = append(all, made...)
	}
	return all, nil
}

// newOperatorKey makes the proof for this start and puts it where only the operator can read it.
func (a *App) newOperatorKey() (secret.Text, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return secret.Text{}, fmt.Errorf("making the operator's key: %w", err)
	}
	text := secret.New(hex.EncodeToString(key))
	if err := socket.WriteKey(a.file.Data, text); err != nil {
		return secret.Text{}, fmt.Errorf("writing the operator's key: %w", err)
	}
	return text, nil
}

// Ready reports why the gateway cannot take calls, or nil: it stops, the log cannot be written, the clock is wrong, or the
// database does not answer.
func (a *App) Ready(ctx context.Context) error {
	if a.stopping.Load() {
		return outcome.Unavailable.Because("the gateway is stopping")
	}
	if err := a.Log.Err(); err != nil {
		return err
	}
	return a.Log.Ping(ctx)
}

// measure makes the figures of the process.
func (a *App) measure(out *egress.Egress, offline bool) (err error) {
	c := telemetry.Config{Version: a.version, Log: a.log, Running: a.calls, Ready: a.Ready, CertEnd: a.certEnd()}
	if endpoint := a.file.OTLP.Endpoint; endpoint != "" && !offline {
		to, err := egress.Configured(endpoint, a.file.OTLP.Private)
		if err != nil {
			return fmt.Errorf("reading the endpoint of OTLP: %w", err)
		}
		c.Endpoint, c.Client = endpoint, out.Client(to)
	}
	if a.figures, err = telemetry.New(c); err != nil {
		return err
	}
	a.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
		defer cancel()
		if err := a.figures.Close(ctx); err != nil {
			a.log.Warn("some spans were not sent", "error", err)
		}
		return nil
	})
	return nil
}

// examine asks all modules that have something behind them how that does, side by side.
func (a *App) examine(ctx context.Context) (all []gate.Checkup) {
	found := make([][]gate.Checkup, len(a.examined))
	var asked sync.WaitGroup
	for i, m := range a.examined {
		asked.Go(func() { found[i] = m.Examine(ctx) })
	}
	asked.Wait()
	return slices.Concat(found...)
}

// calls is the number of calls under way. There is no gate yet while the modules are made.
func (a *App) calls() int {
	if a.Gate == nil {
		return 0
	}
	return a.Gate.Running()
}

// certEnd tells when the certificate in use ends; nil without TLS.
func (a *App) certEnd() func() time.Time {
	if a.cert == nil {
		return nil
	}
	return a.cert.end
}

func (a *App) storage() string {
	if a.file.Store.PostgresDSN.IsZero() {
		return "sqlite"
	}
	return "postgres"
}

// Handler is all HTTP entries behind the front, for the address that is really bound. done ends their open streams.
func (a *App) Handler(listen string) (h http.Handler, server *http.Server, done func() error, err error) {
	front, err := httpfront.New(httpfront.Config{
		Listen: listen, TLS: a.cert != nil, PublicURL: a.file.PublicURL, AllowedHosts: a.file.AllowedHosts, AllowedOrigins: a.file.AllowedOrigins,
		TrustedProxies: a.file.TrustedProxies, MaxBody: int64(a.file.Limits.Body), Log: a.log,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	mux := http.NewServeMux()
	var streams []io.Closer
	for path, entry := range a.entries() {
		mux.Handle(path, entry)
		if path != "/" {
			mux.Handle(path+"/", entry)
		}
		if c, ok := entry.(io.Closer); ok {
			streams = append(streams, c)
		}
	}
	h = front.Wrap(mux)
	return h, front.Server(h), func() error {
		var errs []error
		for _, s := range streams {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}, nil
}

// Listen opens the configured address, for Run.
func (a *App) Listen(ctx context.Context) (net.Listener, error) {
	return a.ListenAt(ctx, a.file.Listen)
}

// ListenAt is Listen for another address than the configured one.
func (a *App) ListenAt(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

// StartJobs does the modules' background work until ctx ends or the App is closed.
func (a *App) StartJobs(ctx context.Context) {
	ctx, a.stop = context.WithCancel(ctx)
	for _, job := range a.jobs {
		a.running.Go(func() {
			name := strings.ReplaceAll(string(job.Tool), ".", " ")
			pause := job.Every
			if a.shared && job.Once {
				pause /= 4 // whose turn it is is asked more often, in case the one who did it last is gone
			}
			for {
				if !job.Once || a.turn(ctx, name, job.Every) {
					a.runJob(ctx, name, job)
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause + later(job.Jitter)):
				}
			}
		})
	}
}

// runJob makes the one call of a job, if there is something to do.
func (a *App) runJob(ctx context.Context, name string, job gate.Job) {
	r := gate.Request{Tool: job.Tool}
	if job.Arguments != nil {
		var err error
		if r.Canonical, err = job.Arguments(ctx); err != nil {
			if ctx.Err() == nil {
				a.log.Error("a job could not be begun; it is tried again at its next time", "job", name, "error", err)
			}
			return
		}
		if r.Canonical.IsZero() {
			return
		}
	}
	a.Gate.Call(ctx, a.Gate.Job(name), r)
}

// later is a time by chance, shorter than most.
func later(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return mathrand.N(most)
}

// Operator is the caller for the operator's commands that run in this process, under the lock.
func (a *App) Operator(ctx context.Context) (gate.Caller, error) {
	nonce := make([]byte, 32)
	if _, err := rand.Read(nonce); err != nil {
		return gate.Caller{}, fmt.Errorf("making a nonce: %w", err)
	}
	proof := gate.OperatorProof{Nonce: nonce, MAC: gate.OperatorMAC(a.operator, nonce)}
	return a.Gate.Authenticate(ctx, gate.Credential{Operator: &proof}, gate.Origin{Entry: "command"})
}

// Empty reports whether nobody has been added yet.
func (a *App) Empty() bool { return a.people.Empty() }

func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

// Close ends the jobs and closes everything, the last first. Run must have returned.
func (a *App) Close() error {
	if a.stop != nil {
		a.stop()
	}
	a.running.Wait()
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}
