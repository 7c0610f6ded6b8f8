// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/httpmw"
)

// childVariable makes a test binary an instance: it holds its [Config].
const childVariable = "FAIRLEAD_DRILL_INSTANCE"

// Config is what an instance is told.
type Config struct {
	// Service is its name.
	Service string
	// Downstream is a service that it calls over gRPC for each request of its own;
	// "" is none.
	Downstream string
	// Work is how long a request takes there besides.
	Work time.Duration
	// TTL, DrainWait and DrainTimeout are those of the service.
	TTL, DrainWait, DrainTimeout time.Duration
	// Port is where it serves gRPC, on loopback; 0 is any.
	Port int
}

func (c Config) withDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 30*time.Second)
	c.DrainWait = cmp.Or(c.DrainWait, 300*time.Millisecond)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	return c
}

// Hello is what an instance writes to its standard output, on one line, once it
// is registered and visible.
type Hello struct {
	GRPC, HTTP string // addresses
	PID        int
}

// Open opens the registry in each process; it finds it by environment variables.
type Open func() (discovery.Catalog, error)

// Main runs the tests, or an instance if the process is to be one. It does not return.
func Main(m *testing.M, open Open) {
	text := os.Getenv(childVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := runChild(text, open); err != nil {
		fmt.Fprintln(os.Stderr, "instance:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// New returns an instance, to be run in this process.
func New(catalog discovery.Catalog, config Config, log slog.Handler, opts ...fairlead.Option) (*fairlead.Service, error) {
	config = config.withDefaults()
	svc, err := fairlead.New(config.Service, append([]fairlead.Option{
		fairlead.WithPlaintext(),
		fairlead.WithoutSignals(),
		fairlead.WithGRPC(fmt.Sprintf("127.0.0.1:%d", config.Port)),
		fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithAdmin(""),
		fairlead.WithLogHandler(log),
		fairlead.WithRegistry(catalog),
		fairlead.WithServerTimeout(config.TTL / 2),
		fairlead.WithHTTPServer(httpmw.WithReadTimeout(config.TTL/2), httpmw.WithIdleTimeout(config.TTL/2)),
		fairlead.WithRegistration(discovery.WithTTL(config.TTL)),
		fairlead.WithDrainWait(config.DrainWait),
		fairlead.WithDrainTimeout(config.DrainTimeout)}, opts...)...)
	if err != nil {
		return nil, err
	}
	s := &instance{id: strconv.FormatInt(instances.Add(1), 10) + "@" + strconv.Itoa(os.Getpid()), work: config.Work}
	if config.Downstream != "" {
		conn, err := svc.Dial(config.Downstream)
		if err != nil {
			return nil, errors.Join(err, svc.Close())
		}
		s.downstream = testgrpc.NewTestServiceClient(conn)
	}
	testgrpc.RegisterTestServiceServer(svc.GRPC(), s)
	svc.HTTP().HandleFunc("/work", s.serveHTTP)
	return svc, nil
}

// instances counts those of this process.
var instances atomic.Int64

func runChild(text string, open Open) error {
	// Some dozen of them share a machine.
	runtime.GOMAXPROCS(1)
	var config Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	catalog, err := open()
	if err != nil {
		return err
	}
	svc, err := New(catalog, config, slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err != nil {
		return err
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := svc.Registered(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "instance:", err)
			return
		}
		_ = json.NewEncoder(os.Stdout).Encode(Hello{GRPC: svc.Addr("grpc"), HTTP: svc.Addr("http"), PID: os.Getpid()})
	}()
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer release()
	return svc.Run(ctx)
}

// instance does the work.
type instance struct {
	testgrpc.UnimplementedTestServiceServer
	id         string
	downstream testgrpc.TestServiceClient // nil: none
	work       time.Duration
}

func (s *instance) do(ctx context.Context) error {
	if s.work > 0 {
		select {
		case <-time.After(s.work):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if s.downstream == nil {
		return nil
	}
	_, err := s.downstream.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return err
}

func (s *instance) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if err := s.do(ctx); err != nil {
		return nil, err
	}
	return &testgrpc.SimpleResponse{ServerId: s.id}, nil
}

func (s *instance) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.do(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, s.id)
}
