// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// readyPrefix begins the line by which a child says that it serves. All its other
// lines are log lines.
const readyPrefix = "ready "

// ready is what that line says.
type ready struct {
	Instance
	// Traces is the base URL of what the child knows about traces.
	Traces string `json:"traces"`
}

// RunChild runs an instance of a service in this process, for a parent that holds the
// other ends of stdin and stdout. It says on stdout where it listens, and serves until
// stdin ends: when the parent closes it, or dies.
func RunChild(ctx context.Context, cfg Config, name string, stdin io.Reader, stdout io.Writer) (err error) {
	e := &env{cfg: cfg.withDefaults(), recorder: report.NewRecorder(), journal: report.NewJournal()}
	r, err := e.start(ctx, name, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	traces, err := ServeTraces(ctx, e.recorder, e.journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, traces.Close()) }()

	line, err := json.Marshal(ready{Instance: r.Instance, Traces: traces.URL})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "%s%s\n", readyPrefix, line); err != nil {
		return err
	}
	parentGone := make(chan struct{})
	go func() { // it ends with the process: stdin cannot be read with a deadline
		defer close(parentGone)
		_, _ = io.Copy(io.Discard, stdin)
	}()
	select {
	case <-parentGone:
	case <-ctx.Done():
	case <-r.done:
		return errUnasked
	}
	return nil
}

// TraceServer serves traces on a free port of the loopback interface.
type TraceServer struct {
	// URL is its address, without a path.
	URL string

	server *http.Server
	done   chan struct{}
}

// ServeTraces starts a server for [report.Handler]. It runs until it is closed,
// whatever becomes of ctx.
func ServeTraces(ctx context.Context, source report.Source, paper report.Newspaper) (*TraceServer, error) {
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", loopback)
	if err != nil {
		return nil, fmt.Errorf("app: traces: %w", err)
	}
	s := &TraceServer{
		URL:    "http://" + lis.Addr().String(),
		server: &http.Server{Handler: report.Handler(source, paper), ReadHeaderTimeout: 5 * time.Second},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(lis) // until Close
	}()
	return s, nil
}

// Close ends the server.
func (s *TraceServer) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}
