// Package cli is the command line: what a person types and sees. It must never reach a store or decide anything: each
// command makes calls as the operator, over the socket of the server that runs or through the same gate in this process,
// and translates what became of them.
//
// A command is a file. Adding one is a file and a line in the struct commands. Results go to standard output, everything
// else to standard error; characters that cannot be seen are written as escapes, because names and log rows hold what
// strangers sent. The exit status is 0 for done, 1 for refused or failed, 2 for wrong use.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"gatehouse/config"
	"gatehouse/connect"
	"gatehouse/sandbox"
)

// The exit statuses.
const (
	done     = 0
	failed   = 1
	wrongUse = 2
)

// commands is the whole command line.
type commands struct {
	Data   string `help:"The data folder (else $$GATEHOUSE_DATA, else ./data)." placeholder:"DIR"`
	Config string `help:"The configuration file (none: a safe default)." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print results as JSON."`

	Serve       serveCommand       `cmd:"" help:"Run the gateway."`
	Demo        demoCommand        `cmd:"" help:"Show the gateway at work, in a throwaway house."`
	User        userCommand        `cmd:"" help:"Add, list, disable and enable people."`
	Permit      permitCommand      `cmd:"" help:"Permit a person tools, or take the permission away."`
	Permissions permissionsCommand `cmd:"" help:"Show what a person may do."`
	Token       tokenCommand       `cmd:"" help:"Issue, list and revoke agents' tokens."`
	Policy      policyCommand      `cmd:"" help:"Show, make and remove rules on calls."`
	Explain     explainCommand     `cmd:"" help:"Say step by step what would become of a call, and why."`
	Audit       auditCommand       `cmd:"" help:"Search, follow, read and verify the log."`
	Servers     serversCommand     `cmd:"" help:"Show MCP servers, and accept changed tools of theirs."`
	Import      importCommand      `cmd:"" help:"Take over MCP servers from a client's configuration."`
	Doctor      doctorCommand      `cmd:"" help:"Check the configuration and every system behind the gateway."`
	Status      statusCommand      `cmd:"" help:"Say whether the gateway can take calls."`
	Metrics     metricsCommand     `cmd:"" help:"Print the figures of the gateway, as Prometheus reads them."`
	Backup      backupCommand      `cmd:"" help:"Write an encrypted backup of everything, while the gateway runs or not."`
	BackupKey   backupKeyCommand   `cmd:"" name:"backup-key" help:"Make a key pair for backups."`
	Restore     restoreCommand     `cmd:"" help:"Restore a backup into an empty data folder."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the databases to this version, or move them to PostgreSQL."`
	Bench       benchCommand       `cmd:"" help:"Measure rules on public sets of recorded sessions."`
	Stdio       stdioCommand       `cmd:"" help:"Connect a client that speaks MCP over standard input and output."`
	Connect     connectCommand     `cmd:"" help:"Show what to paste into a client to connect it."`
	Completion  completionCommand  `cmd:"" help:"Print the completion script of a shell."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	MCPFiles    filesCommand       `cmd:"" name:"mcp-files" hidden:"" help:"Serve a folder's text files over MCP, for the demo."`
}

// run is what a command works with.
type run struct {
	ctx       context.Context // ends at the first signal
	in        io.Reader
	out, errs io.Writer
	flags     *commands
}

// Main runs one command and gives its exit status. The first interrupt or termination signal ends it in order, a second
// one at once. args are without the program's name.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	if status, asked := sandbox.Main(append([]string{"gatehouse"}, args...)); asked {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	var c commands
	helped := false
	parser, err := kong.New(&c,
		kong.Name("gatehouse"),
		kong.Description("An AI agent gateway: every call of an agent passes one door."),
		kong.Writers(out, errs),
		kong.Vars{"clients": strings.Join(connect.IDs(), ", ")},
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		panic(fmt.Sprintf("the command line is not well made: %v", err))
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return done
	case err != nil:
		return complain(errs, misuse{err: err, command: commandOf(parsed, err)})
	}
	if err := parsed.Run(&run{ctx: ctx, in: in, out: out, errs: errs, flags: &c}); err != nil {
		var wrong misuse
		if errors.As(err, &wrong) {
			err = misuse{err: wrong.err, command: parsed.Command()}
		}
		return complain(errs, err)
	}
	return done
}

// file is the configuration with the flags that win over it.
func (r *run) file() (config.File, error) {
	file := config.Default("")
	if r.flags.Config != "" {
		var err error
		if file, err = config.Load(r.flags.Config); err != nil {
			return file, withHint(err, "the configuration names its line: correct it there, or leave --config out for a safe default")
		}
	}
	file.SetData(r.flags.Data)
	return file, nil
}
