// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// counter is how callers reach an office: with calls that are normal or critical,
// which the office has to work for, and with those that ask whether it lives.
type counter struct{ normal, critical, health step }

// open puts an office behind a server and returns how to reach it. It sheds load if s
// is not nil, and its callers have policies if to is not.
type open func(t *testing.T, at place, o *office, s *shed.Shedder, to *policies.Service) counter

// clerk is an office as a gRPC service. EmptyCall is the critical one.
type clerk struct {
	testgrpc.UnimplementedTestServiceServer
	office *office
}

func (c *clerk) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	c.office.handle()
	return &testgrpc.SimpleResponse{}, nil
}

func (c *clerk) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	c.office.handle()
	return &testgrpc.Empty{}, nil
}

func openGRPC(t *testing.T, at place, o *office, s *shed.Shedder, to *policies.Service) counter {
	client, server := deadlines(t)
	is := []interceptors.ServerInterceptor{interceptors.Record(recorderOf(t)), interceptors.Recovery(), interceptors.Deadline(server)}
	if s != nil {
		is = append(is, interceptors.Shed(s))
	}
	healthpb.RegisterHealthServer(serveGRPC(t, at, &clerk{office: o}, is...), health.NewServer())
	calling := []interceptors.ClientInterceptor{interceptors.Record(recorderOf(t)), interceptors.Deadline(client)}
	if to != nil {
		calling = append(calling, interceptors.Policies(to))
	}
	c := dialGRPC(t, at, "office", calling...)
	stub, live := testgrpc.NewTestServiceClient(c), healthpb.NewHealthClient(c)
	return counter{
		normal:   func(ctx context.Context) error { return unary(ctx, stub) },
		critical: func(ctx context.Context) error { _, err := stub.EmptyCall(ctx, &testgrpc.Empty{}); return err },
		health:   func(ctx context.Context) error { _, err := live.Check(ctx, &healthpb.HealthCheckRequest{}); return err },
	}
}

func openHTTP(t *testing.T, at place, o *office, s *shed.Shedder, to *policies.Service) counter {
	client, server := deadlines(t)
	mws := []httpmw.Middleware{httpmw.Record(recorderOf(t)), httpmw.Recovery(), httpmw.Deadline(server)}
	if s != nil {
		mws = append(mws, httpmw.Shed(s))
	}
	mux := http.NewServeMux()
	work := func(http.ResponseWriter, *http.Request) { o.handle() }
	mux.HandleFunc("GET /normal", work)
	mux.HandleFunc("GET /critical", work)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	serveHTTP(t, at, mux, mws...)
	calling := []httpmw.Transport{httpmw.RecordTransport(recorderOf(t), "office"), httpmw.DeadlineTransport(client)}
	if to != nil {
		calling = append(calling, httpmw.PoliciesTransport(to))
	}
	c := dialHTTP(t, at, "office", calling...)
	window := func(path string) step {
		return func(ctx context.Context) error { return get(ctx, c, "http://office"+path) }
	}
	return counter{normal: window("/normal"), critical: window("/critical"), health: window("/livez")}
}

// priority is that of the calls of a counter.
func priority(ctx context.Context, method string) shed.Priority {
	if strings.HasSuffix(method, "/EmptyCall") || method == "/critical" {
		return shed.PriorityCritical
	}
	return shed.ByMethod(ctx, method)
}

// What an office has, and for how long those who call it wait.
const (
	workers     = 8
	serviceTime = 80 * time.Millisecond
	patience    = 800 * time.Millisecond
)

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{workers: workers, service: serviceTime}
	t.Cleanup(o.close)
	return o
}

func newShedder(t *testing.T) *shed.Shedder {
	t.Helper()
	s, err := shed.New("office", shed.WithoutCPU(), shed.WithPriorities(priority))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rush is what comes to a counter at once, for d: normal calls, three times as many
// as the office can do, a few critical ones, and questions for its health.
func rush(ctx context.Context, c counter, capacity float64, d time.Duration) (normal, critical, health offered) {
	var wg sync.WaitGroup
	offer := func(to *offered, perSecond float64, do step) {
		wg.Go(func() { *to = load{perSecond: perSecond, patience: patience, random: true}.run(ctx, d, do) })
	}
	offer(&normal, 3*capacity, c.normal)
	offer(&critical, capacity/10, c.critical)
	offer(&health, 10, c.health)
	wg.Wait()
	return normal, critical, health
}

// isAdmitted says whether a call was not shed.
func isAdmitted(a answered) bool { return !errors.Is(a.err, resilience.ErrOverloaded) }

// shed returns which share of the calls was.
func (o offered) shed() float64 {
	n := 0
	for _, a := range o {
		if !isAdmitted(a) {
			n++
		}
	}
	return float64(n) / float64(max(len(o), 1))
}

// outcome is what an office got done in a rush. All but p99 and the limit are shares:
// goodput of the capacity, the others of the calls.
type outcome struct {
	goodput                float64
	p99                    time.Duration // of the calls that were admitted
	shed, critical, health float64       // of normal calls; served of the others
	limit                  int
}

func (o outcome) String() string {
	return fmt.Sprintf("goodput %.1f%%, p99 %v; %.1f%% shed, %.1f%% of the critical calls and %.1f%% of the health checks served; limit %d",
		100*o.goodput, o.p99, 100*o.shed, 100*o.critical, 100*o.health, o.limit)
}

// endure lets the rush come, for settle before it counts and then for d.
func endure(ctx context.Context, c counter, s *shed.Shedder, capacity float64, settle, d time.Duration) outcome {
	normal, critical, health := rush(ctx, c, capacity, settle+d)
	normal, critical, health = normal.between(settle, settle+d), critical.between(settle, settle+d), health.between(settle, settle+d)
	out := outcome{
		goodput:  float64(normal.served()+critical.served()) / d.Seconds() / capacity,
		p99:      slices.Concat(normal, critical).quantile(0.99, isAdmitted),
		shed:     normal.shed(),
		critical: critical.share(),
		health:   health.share(),
	}
	if s != nil {
		out.limit = s.Snapshot().Limit
	}
	return out
}

// counters are the two ways in.
var counters = []struct {
	name string
	open open
}{{"gRPC", openGRPC}, {"HTTP", openHTTP}}

// TestOverload offers real servers three times what they can do. What they can do,
// and how long a call takes when nobody else is there, is measured first, with the
// same clients: the machine may have other things to do as well.
func TestOverload(t *testing.T) {
	var trials []trial
	for _, c := range counters {
		if raceEnabled && len(trials) > 0 {
			break // it is the machine that would be overloaded
		}
		trials = append(trials, shedding(c.name, c.open), collapsing(c.name, c.open))
	}
	together(t, trials)
}

// shedding is an office that sheds load.
func shedding(name string, open open) trial {
	return trial{name + "/shedding", func(t *testing.T) func() *verdict {
		o, s := newOffice(t), newShedder(t)
		in := open(t, onLoopback(t), o, s, nil)
		return func() *verdict {
			unloaded, capacity := alone(t.Context(), in.normal)
			got, v := endure(t.Context(), in, s, capacity, 2500*time.Millisecond, 4*time.Second), &verdict{}
			v.logf("capacity %.1f/s, unloaded %v; %v", capacity, unloaded, got)
			if got.goodput < 0.9 {
				v.faultf("goodput %.0f%% of capacity, want 90%%", 100*got.goodput)
			}
			if got.p99 > 4*unloaded {
				v.faultf("p99 of the admitted %v, want at most 4 times %v", got.p99, unloaded)
			}
			if got.critical < 0.95 || got.health < 0.95 {
				v.faultf("%.1f%% of the critical calls and %.1f%% of the health checks served, want 95%%", 100*got.critical, 100*got.health)
			}
			return v
		}
	}}
}

// collapsing is one that does not.
func collapsing(name string, open open) trial {
	return trial{name + "/without shedding", func(t *testing.T) func() *verdict {
		o := newOffice(t)
		in := open(t, onLoopback(t), o, nil, nil)
		return func() *verdict {
			_, capacity := alone(t.Context(), in.normal)
			got, v := endure(t.Context(), in, nil, capacity, 1500*time.Millisecond, 3*time.Second), &verdict{}
			v.logf("capacity %.1f/s; %v", capacity, got)
			if got.goodput > 0.6 {
				v.faultf("goodput %.0f%% of capacity: the load is no overload", 100*got.goodput)
			}
			return v
		}
	}}
}

// alone returns how long a call takes while there are no more of them than workers,
// and how many a second that makes.
func alone(ctx context.Context, do step) (took time.Duration, capacity float64) {
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all offered
	)
	for range workers {
		wg.Go(func() {
			for range 10 {
				start := time.Now()
				err := do(ctx)
				mu.Lock()
				all = append(all, answered{took: time.Since(start), err: err})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took = all.quantile(0.5, isAdmitted)
	return took, workers / took.Seconds()
}

// TestOverloadToTheNumber is the same in virtual time, where the machine is never
// late: for longer, and with closer bounds. Callers with the default policies, which
// retry and have a breaker, must not make it worse: a server that refuses a share of
// its calls is not one to be left alone.
func TestOverloadToTheNumber(t *testing.T) {
	for _, c := range counters {
		for _, policed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/policies %v", c.name, policed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var to *policies.Service
					if policed {
						set, err := policies.New()
						if err != nil {
							t.Fatal(err)
						}
						to = set.Service("office")
					}
					o, s := newOffice(t), newShedder(t)
					got := endure(t.Context(), c.open(t, inMemory(t), o, s, to), s, o.capacity(), 5*time.Second, 20*time.Second)
					t.Log(got)
					if got.goodput < 0.95 {
						t.Errorf("goodput %.1f%% of capacity, want 95%%", 100*got.goodput)
					}
					if most := 3 * serviceTime; got.p99 > most && !policed { // those who retry wait in between
						t.Errorf("p99 of the admitted %v, want at most %v", got.p99, most)
					}
					if got.critical < 0.99 || got.health < 1 {
						t.Errorf("%.2f%% of the critical calls and %.2f%% of the health checks served, want 99%% and all", 100*got.critical, 100*got.health)
					}
				})
			})
		}
	}
}
