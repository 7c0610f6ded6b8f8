// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// startTimeout bounds how long an instance has until callers can find it.
const startTimeout = 20 * time.Second

// Command returns the command that runs [RunChild] for a service. Without a registry
// that processes can share, peers is where the services are that it calls, for
// static.Parse.
type Command func(service, peers string) *exec.Cmd

// StartProcesses runs each instance in a process of its own. Without a registry in
// the configuration, the services are told where the others are, which does not change
// then. The children's log lines go to the configuration's log. A child ends when its
// standard input does, so none outlives this process.
func StartProcesses(ctx context.Context, cfg Config, command Command) (Shop, error) {
	s := &processes{
		namespace: cmp.Or(cfg.Namespace, DefaultNamespace),
		ended:     make(chan error, 1),
		client:    &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second},
	}
	s.launch = func(ctx context.Context, name, id string) (*child, error) {
		peers := ""
		if cfg.Registry == nil {
			peers = s.peers()
		}
		return startChild(ctx, command(name, peers), id, cfg.Log, s.ended)
	}
	if err := s.openAll(ctx, cfg.Scale); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

type processes struct {
	fleet[*child]
	namespace discovery.Namespace
	ended     chan error
	client    *http.Client

	mu   sync.Mutex
	past []report.Newspaper // of children that have ended
}

// peers returns where the services are that can be called, as static.Parse reads it.
func (s *processes) peers() string {
	addresses := make(map[string][]string)
	for _, i := range s.Instances() {
		if a := i.Addresses.GRPC + i.Addresses.HTTP; a != "" { // it speaks one of them
			addresses[i.Name] = append(addresses[i.Name], a)
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		all = append(all, name+"="+strings.Join(addresses[name], ","))
	}
	return strings.Join(all, ";")
}

// End implements [Shop].
func (s *processes) End(ctx context.Context, id string) error {
	s.remember(ctx, id)
	return s.fleet.End(ctx, id)
}

// Kill implements [Killer].
func (s *processes) Kill(ctx context.Context, id string) error {
	s.remember(ctx, id)
	c, err := s.take(id)
	if err != nil {
		return err
	}
	return c.kill()
}

// remember keeps what a child has to tell that is about to end.
func (s *processes) remember(ctx context.Context, id string) {
	for _, c := range s.list() {
		if c.ID != id {
			continue
		}
		if news, err := s.remote(c).News(ctx); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.past = append(s.past, report.OldNews(news))
		}
	}
}

// Traces implements [Shop]. What was known by instances that have ended is lost.
func (s *processes) Traces() report.Source { return remoteTraces{s} }

type remoteTraces struct{ *processes }

// Trace implements [report.Source].
func (s remoteTraces) Trace(ctx context.Context, id string) (*report.Trace, error) {
	var sources []report.Source
	for _, c := range s.list() {
		sources = append(sources, s.remote(c))
	}
	return report.Merge(sources...).Trace(ctx, id)
}

func (s *processes) News() report.Newspaper { return remoteNews{s} }

type remoteNews struct{ *processes }

// News implements [report.Newspaper].
func (s remoteNews) News(ctx context.Context) (report.News, error) {
	s.mu.Lock()
	papers := slices.Clone(s.past)
	s.mu.Unlock()
	for _, c := range s.list() {
		papers = append(papers, s.remote(c))
	}
	return report.MergeNews(papers...).News(ctx)
}

func (s *processes) remote(c *child) report.Remote {
	return report.Remote{Base: c.Traces, Client: s.client}
}

func (s *processes) Ended() <-chan error { return s.ended }

func (s *processes) Stop(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	return s.fleet.Stop(ctx)
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
func startChild(ctx context.Context, cmd *exec.Cmd, id string, log io.Writer, ended chan<- error) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, errors.Join(err, stdin.Close()))
	}
	c.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, err)
	}
	says := make(chan []byte, 1)
	go func() {
		defer close(c.done)
		c.err = c.follow(stdout, says, log)
		if !c.stopping.Load() {
			select {
			case ended <- fmt.Errorf("app: %s ended: %w", id, errors.Join(c.err, errUnasked)):
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
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("app: start %s: %w", id, err), c.kill())
	}
	c.ID = id
	return c, nil
}

func (c *child) instance() Instance { return c.Instance }

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
		return fmt.Errorf("app: stop %s: %w", c.ID, errors.Join(context.Cause(ctx), c.kill()))
	}
	if c.err != nil {
		return fmt.Errorf("app: stop %s: %w", c.ID, errors.Join(c.err, closed))
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
