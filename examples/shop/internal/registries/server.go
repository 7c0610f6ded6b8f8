// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/internal/servers"
)

const (
	// startTimeout bounds how long a server has until it answers.
	startTimeout = 30 * time.Second
	// stopTimeout bounds how long it has to end.
	stopTimeout = 5 * time.Second
	// maxOutput bounds what is kept of what it says, in bytes: the last ones.
	maxOutput = 4 << 10
)

// server is a program that was started for this run. It is for one goroutine at a
// time.
type server struct {
	name string
	path string
	args []string
	dir  string // removed at the end
	// ready returns nil if the server takes requests.
	ready func(context.Context) error

	running *process
}

// process is one run of a server.
type process struct {
	cmd    *exec.Cmd
	output tail
	done   chan struct{}
	err    error // of Wait; read after done is closed
}

// newServer returns a server that has a folder of its own, and is not started yet.
func newServer(name, path string) (*server, error) {
	dir, err := os.MkdirTemp("", "shop-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("registries: %w", err)
	}
	return &server{name: name, path: path, dir: dir}, nil
}

// start starts the server and waits until it takes requests.
func (s *server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(s.path, s.args...) //nolint:noctx // it is stopped by hand, when all who use it have ended
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.dir, &p.output, &p.output
	servers.EndWithParent(p.cmd)
	started := make(chan error, 1)
	go func() {
		// A process that is to die with its parent dies with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("registries: start %s: %w", s.name, err)
	}
	s.running = p
	if err := s.await(ctx, p); err != nil {
		return fmt.Errorf("registries: start %s: %w", s.name, errors.Join(err, s.kill(), p.said()))
	}
	return nil
}

// await asks until the server is ready.
func (s *server) await(ctx context.Context, p *process) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.Join(errors.New("it ended at once"), p.err)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-again.C:
		}
	}
}

// said returns what the process said, as an error.
func (p *process) said() error {
	if text := p.output.String(); text != "" {
		return fmt.Errorf("it said: %s", text)
	}
	return nil
}

// kill ends the server the hard way; one that has ended already is no error.
func (s *server) kill() error {
	p := s.running
	s.running = nil
	if p == nil {
		return nil
	}
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// close ends the server and removes its folder.
func (s *server) close() error {
	if p := s.running; p != nil && p.cmd.Process.Signal(os.Interrupt) == nil {
		select {
		case <-p.done:
		case <-time.After(stopTimeout):
		}
	}
	return errors.Join(s.kill(), os.RemoveAll(s.dir))
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// get asks for a URL of a server on this machine.
func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	return client.Do(req)
}

// freePorts returns ports of the loopback interface that nobody listens on now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("registries: %w", err)
		}
		defer func() { _ = l.Close() }() // after all are known, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// tail keeps the last of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxOutput):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
