// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/registry"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// startTimeout bounds how long a child has until it serves.
const startTimeout = 20 * time.Second

// Command returns the command that runs [RunChild] for a service, with peers as
// the services it knows.
type Command func(service, peers string) *exec.Cmd

// StartProcesses runs each service in a process of its own. The children's log
// lines go to log, which may be nil and must be safe for concurrent use. A child
// ends when its standard input does, so none outlives this process.
func StartProcesses(ctx context.Context, log io.Writer, command Command) (Shop, error) {
	s := &processes{
		services: registry.New(),
		ended:    make(chan error, 1),
		client:   &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second},
	}
	for _, name := range Names() {
		c, err := startChild(command(name, s.services.String()), name, log, s.ended)
		if err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
		s.children = append(s.children, c)
		s.services.Set(name, c.Addresses)
	}
	return s, nil
}

type processes struct {
	services *registry.Registry
	children []*child
	ended    chan error
	client   *http.Client
}

func (s *processes) Instances() []Instance {
	out := make([]Instance, 0, len(s.children))
	for _, c := range s.children {
		out = append(out, c.Instance)
	}
	return out
}

func (s *processes) Traces() report.Source {
	var sources []report.Source
	for _, c := range s.children {
		sources = append(sources, s.remote(c))
	}
	return report.Merge(sources...)
}

func (s *processes) News() report.Newspaper {
	var papers []report.Newspaper
	for _, c := range s.children {
		papers = append(papers, s.remote(c))
	}
	return report.MergeNews(papers...)
}

func (s *processes) remote(c *child) report.Remote {
	return report.Remote{Base: c.Traces, Client: s.client}
}

func (s *processes) Ended() <-chan error { return s.ended }

func (s *processes) Stop(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	var errs []error
	for _, c := range slices.Backward(s.children) {
		errs = append(errs, c.end(ctx))
	}
	return errors.Join(errs...)
}

// child is a service in a process of its own.
type child struct {
	ready
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	stopping atomic.Bool
	done     chan struct{}
	err      error // of Wait; read after done is closed
}

// startChild starts a child and waits until it serves.
func startChild(cmd *exec.Cmd, name string, log io.Writer, ended chan<- error) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", name, errors.Join(err, stdin.Close()))
	}
	c.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("app: start %s: %w", name, err)
	}
	says := make(chan []byte, 1)
	go func() {
		defer close(c.done)
		c.err = c.follow(stdout, says, log)
		if !c.stopping.Load() {
			select {
			case ended <- fmt.Errorf("app: %s ended: %w", name, errors.Join(c.err, errUnasked)):
			default: // it is not the first one
			}
		}
	}()

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case line := <-says:
		err = json.Unmarshal(line, &c.ready)
	case <-c.done:
		err = errors.Join(c.err, errUnasked)
	case <-timeout.C:
		err = fmt.Errorf("not ready after %v", startTimeout)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("app: start %s: %w", name, err), c.kill())
	}
	return c, nil
}

var errUnasked = errors.New("the process ended unasked")

// follow delivers the line by which the child says that it is ready, passes the
// others on to log, and waits for the process at the end of its output.
func (c *child) follow(stdout io.Reader, says chan<- []byte, log io.Writer) error {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return c.cmd.Wait()
		}
		if news, ok := bytes.CutPrefix(line, []byte(readyPrefix)); ok {
			select {
			case says <- news:
			default: // once is enough
			}
		} else if log != nil {
			_, _ = log.Write(line) // a log that is full must not stop a service
		}
	}
}

// end asks the child to end, and makes it if it has not when ctx ends.
func (c *child) end(ctx context.Context) error {
	c.stopping.Store(true)
	closed := c.stdin.Close()
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("app: stop %s: %w", c.Name, errors.Join(context.Cause(ctx), c.kill()))
	}
	if c.err != nil {
		return fmt.Errorf("app: stop %s: %w", c.Name, errors.Join(c.err, closed))
	}
	return nil
}

// kill ends the child the hard way.
func (c *child) kill() error {
	c.stopping.Store(true)
	err := c.cmd.Process.Kill()
	_ = c.stdin.Close() // for what the child may have started, and holds its output open
	<-c.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
