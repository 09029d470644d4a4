package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"gatehouse/sandbox"
	"gatehouse/wire"
)

const (
	// maxLine bounds one message, and with it one result.
	maxLine = 16 << 20
	// lastWords is how long the answers that a program wrote before its end may take to arrive.
	lastWords = time.Second
)

// errEnded is the end of a program that nobody asked for and that gave no other reason.
var errEnded = errors.New("the program ended")

// process is one run of a server's program, from its start until its group is gone.
type process struct {
	*ear
	running *sandbox.Process
	in      *os.File
	lines   *wire.Lines
	out     chan []byte   // one frame at a time is handed to the writer
	notes   chan []byte   // what nobody waits for; dropped while the program does not read
	done    chan struct{} // closed when all is over
}

// launch says how a program is started.
type launch struct {
	cell        *sandbox.Cell
	environment []string
	errors      *ring
}

// start runs a program in a process group of its own. It is over when done is closed; stop sees to that.
func start(l launch) (*process, error) {
	p := &process{ear: newEar(), out: make(chan []byte), notes: make(chan []byte, 64), done: make(chan struct{})}
	var pipes [6]*os.File // of input, output and errors: our end, the program's end
	for i := 0; i < len(pipes); i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(pipes[:])
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		pipes[i], pipes[i+1] = r, w
	}
	pipes[0], pipes[1] = pipes[1], pipes[0]
	p.in = pipes[0]
	p.lines = wire.NewLines(pipes[2], maxLine)
	p.lines.OnSkip(p.skipped)
	started := make(chan error, 1)
	go p.live(started, l, pipes[2], pipes[4], sandbox.Streams{In: pipes[1], Out: pipes[3], Errs: pipes[5]})
	if err := <-started; err != nil {
		closeAll(pipes[:])
		return nil, err
	}
	return p, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// live starts the program and stays with it to its end.
func (p *process) live(started chan<- error, l launch, out, errs *os.File, theirs sandbox.Streams) {
	// The kernel kills a child when the thread that started it ends: this one stays as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	if p.running, err = l.cell.Start(l.environment, theirs); err != nil {
		started <- err
		return
	}
	closeAll([]*os.File{theirs.In, theirs.Out, theirs.Errs})
	started <- nil
	var pumps sync.WaitGroup
	pumps.Go(p.write)
	pumps.Go(p.read)
	pumps.Go(func() { l.errors.drain(errs) })
	exit := p.running.Wait()
	// What was written before the end may still be in the pipe. Whoever left the group may hold it open for ever.
	late := time.AfterFunc(lastWords, func() { closeAll([]*os.File{out, errs}) })
	p.end(exit)
	pumps.Wait()
	late.Stop()
	closeAll([]*os.File{out, errs, p.in})
	p.forget()
	close(p.done)
}

// end begins the end; the first cause is kept.
func (p *process) end(cause error) {
	if cause == nil {
		cause = errEnded
	}
	if p.ear.end(cause) {
		_ = p.in.Close()
	}
}

// stop ends the program and its group, kindly first, and returns when nothing of it is left.
func (p *process) stop(grace time.Duration) {
	p.end(errors.New("it was stopped"))
	p.running.Terminate()
	select {
	case <-p.done:
		return
	case <-time.After(grace):
	}
	p.running.Kill()
	<-p.done
}

func (p *process) write() {
	for {
		var frame []byte
		select {
		case frame = <-p.out:
		case frame = <-p.notes:
		case <-p.ending:
			return
		}
		if _, err := p.in.Write(append(frame, '\n')); err != nil {
			p.end(fmt.Errorf("it reads no more: %w", err))
			return
		}
	}
}

func (p *process) read() {
	for {
		line, err := p.lines.Next()
		if err != nil {
			p.end(errors.New("it closed its output"))
			return
		}
		p.take(bytes.Clone(line), p.note)
	}
}

// note sends what nobody waits for, unless the program does not read.
func (p *process) note(frame []byte) {
	select {
	case p.notes <- frame:
	default:
	}
}

// skipped hears of a line that was too long: if it was an answer, whoever waits for it waits no longer.
func (p *process) skipped(first, last []byte) {
	p.noise.long.Add(1)
	if id, ok := answered(first, last); ok {
		p.deliver(id, answer{err: errTooLong})
	}
}
