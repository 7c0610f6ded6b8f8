// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/internal/servers"
)

// Fleet starts instances, and ends those that are left when the test does.
type Fleet struct {
	t   testing.TB
	env []string
}

// NewFleet returns a fleet whose instances get these variables.
func NewFleet(t testing.TB, env map[string]string) *Fleet {
	f := &Fleet{t: t}
	for k, v := range env {
		f.env = append(f.env, k+"="+v)
	}
	return f
}

// Process is one instance.
type Process struct {
	Hello
	t      testing.TB
	config Config
	cmd    *exec.Cmd
	stderr *buffer
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// Start starts n instances of a service and waits until callers can find them.
func (f *Fleet) Start(service string, n int, c Config) []*Process {
	f.t.Helper()
	c.Service = service
	c = c.withDefaults()
	processes := make([]*Process, n)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() { processes[i] = f.start(c) })
	}
	wg.Wait()
	for i, p := range processes {
		if p == nil || p.PID == 0 {
			f.t.Fatalf("instance %d of %s did not start", i, service)
		}
	}
	return processes
}

func (f *Fleet) start(c Config) *Process {
	text, err := json.Marshal(c)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		f.t.Error(err)
		return nil
	}
	p := &Process{t: f.t, config: c, cmd: exec.Command(exe), stderr: &buffer{}, exited: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), f.env...), childVariable+"="+string(text))
	p.cmd.Stderr = p.stderr
	servers.EndWithParent(p.cmd)
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		f.t.Error(err)
		return nil
	}
	hello := make(chan Hello, 1)
	go func() {
		defer close(p.exited)
		if line, err := bufio.NewReader(stdout).ReadBytes('\n'); err == nil {
			var h Hello
			if json.Unmarshal(line, &h) == nil {
				hello <- h
			}
		}
		p.err = p.cmd.Wait()
	}()
	f.t.Cleanup(p.Kill)
	select {
	case p.Hello = <-hello:
	case <-p.exited:
		f.t.Errorf("instance of %s ended: %v\n%s", c.Service, p.err, p.stderr)
	case <-time.After(time.Minute):
		f.t.Errorf("instance of %s did not register\n%s", c.Service, p.stderr)
	}
	return p
}

// Terminate asks the instance to end, waits until it has, and fails the test if
// that was not in good order.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("terminating %s: %v", p.config.Service, err)
	}
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.t.Errorf("%s did not end", p.config.Service)
		p.Kill()
	}
	if p.err != nil {
		p.t.Errorf("%s ended with %v\n%s", p.config.Service, p.err, p.stderr)
	}
}

// Kill ends the instance without a word, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// RollingRestart replaces each of the processes by a new one: first the old one
// ends, then another begins.
func (f *Fleet) RollingRestart(processes []*Process) []*Process {
	f.t.Helper()
	next := make([]*Process, 0, len(processes))
	for _, p := range processes {
		p.Terminate()
		next = append(next, f.Start(p.config.Service, 1, p.config)...)
	}
	return next
}

// buffer is a bytes.Buffer that can be read while it is written to.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
