// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	core "github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

var ended = balancer.DoneInfo{BytesSent: true, BytesReceived: true}

// share counts n picks by address; their calls end as end says, at once.
func (c *channel) share(t testing.TB, n int, end balancer.DoneInfo) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range n {
		address, done := c.pick(t)
		out[address]++
		done(end)
	}
	return out
}

func address(e resolver.Endpoint) string { return e.Addresses[0].Addr }

// with returns the endpoint of an instance that was changed.
func with(e resolver.Endpoint, change func(*discovery.Instance)) resolver.Endpoint {
	in := *grpcresolver.InstanceFrom(e)
	change(&in)
	return endpointOf(&in)
}

// TestEqualWork: what BenchmarkPick compares does the same: each pick is of a connection
// that is ready, all connections get their share, and Done ends the call for those that
// count calls.
func TestEqualWork(t *testing.T) {
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // all calls take the same time
				ch := newChannel(t, c.policy, c.config)
				ch.resolve(t, endpoints(10)...)
				got := ch.share(t, 10_000, ended)
				if len(got) != 10 {
					t.Errorf("it picks %d of 10", len(got))
				}
				for a, n := range got {
					if n < 500 || n > 1500 {
						t.Errorf("it picks %s %d times of 10,000", a, n)
					}
				}
				if strings.Contains(c.name, "round-robin") {
					return
				}
				// Calls that do not end are seen: nobody gets many of them.
				hanging := map[string]int{}
				for range 50 {
					a, _ := ch.pick(t)
					hanging[a]++
				}
				for a, n := range hanging {
					if n > 10 {
						t.Errorf("%d of 50 calls in flight at %s", n, a)
					}
				}
			})
		})
	}
}

func TestReadyOnly(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{}`)
	all := endpoints(3)
	ch.refuse[address(all[0])] = errors.New("connection refused: no such server")
	ch.refuse[address(all[1])] = ch.refuse[address(all[0])]
	if err := ch.policy.UpdateClientConnState(balancer.ClientConnState{ResolverState: resolver.State{Endpoints: all}, BalancerConfig: ch.config}); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.picker().Pick(balancer.PickInfo{}); !errors.Is(err, balancer.ErrNoSubConnAvailable) || ch.current() != connectivity.Connecting {
		t.Errorf("%v and %v before anything is connected, want calls to wait", ch.current(), err)
	}
	ch.settle()
	if got := ch.share(t, 100, ended); got[address(all[2])] != 100 {
		t.Errorf("picks %v, and only %s is connected", got, address(all[2]))
	}
	ch.at(address(all[2])).tell(connectivity.Idle, nil) // it is gone, now
	if _, err := ch.picker().Pick(balancer.PickInfo{}); err == nil {
		t.Error("a connection was picked that is gone")
	}
	ch.resolve(t, all[:2]...)
	_, err := ch.picker().Pick(balancer.PickInfo{})
	if ch.current() != connectivity.TransientFailure || err == nil || !strings.Contains(err.Error(), "no such server") {
		t.Errorf("%v and %v, want the reason why nothing is connected", ch.current(), err)
	}
}

// TestUnchangedStay: an update leaves connections alone whose instances it does not move.
func TestUnchangedStay(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"policy":"random","slowStart":"0s"}`)
	all := endpoints(10)
	ch.resolve(t, all...)
	before := make([]*conn, len(all))
	for i, e := range all {
		before[i] = ch.at(address(e))
	}
	next := slices.Clone(all[1:]) // the first is gone,
	next[0] = with(next[0], func(in *discovery.Instance) { in.Weight = 9 })
	next[1] = with(next[1], func(in *discovery.Instance) { in.Version = "2"; in.Metadata = map[string]string{"a": "b"} })
	moved := with(next[2], func(in *discovery.Instance) { in.Address = "10.9.9.9:80" })
	next[2] = moved
	slices.Reverse(next)
	ch.resolve(t, next...)
	for i, c := range before {
		if gone := i == 0 || i == 3; c.closed != gone {
			t.Errorf("connection %d: closed is %v, want %v", i, c.closed, gone)
		}
	}
	if ch.made != 11 {
		t.Errorf("%d connections were made, want 11", ch.made)
	}
	got := ch.share(t, 17_000, ended)
	if got[address(all[0])] != 0 || got[address(all[3])] != 0 {
		t.Errorf("picks of what is gone: %v", got)
	}
	if n := got[address(all[1])]; n < 8000 || n > 10_000 {
		t.Errorf("%d picks of the one that weighs nine of seventeen by now", n)
	}
	ch.resolve(t, all...)
	if got := ch.share(t, 10_000, ended); got[address(all[0])] == 0 || got[address(all[3])] == 0 || ch.made != 13 {
		t.Errorf("picks %v on %d connections when the two are back, want them among them, on 13", got, ch.made)
	}
}

// TestStateSurvives: calls in flight are counted across updates and lost connections.
func TestStateSurvives(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"policy":"least_request"}`)
	all := endpoints(2)
	ch.resolve(t, all...)
	var busy []func(balancer.DoneInfo)
	for range 20 {
		a, done := ch.pick(t)
		if a == address(all[0]) {
			busy = append(busy, done)
			continue
		}
		done(ended)
	}
	ch.resolve(t, append(endpoints(2)[:1], with(all[1], func(in *discovery.Instance) { in.Version = "2" }))...)
	ch.at(address(all[0])).tell(connectivity.Idle, nil)
	for ch.share(t, 1, ended)[address(all[0])] == 0 && len(busy) > 0 { // it connects again, and has calls
		busy[0](ended)
		busy = busy[1:]
		ch.settle()
	}
	if len(busy) > 1 {
		t.Errorf("it was picked with %d calls in flight, and the other one had none", len(busy))
	}
}

// TestBack: who was lost starts slowly when it is back, and who only got a new connection
// does not.
func TestBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := newChannel(t, grpcbalancer.Name, `{"policy":"random","slowStart":"10s","slowStartShare":0.1}`)
		all := endpoints(2)
		ch.resolve(t, all...)
		is := func(when string, weight float64) {
			t.Helper()
			const n = 20_000
			q := weight / (1 + weight)
			got := ch.share(t, n, ended)[address(all[0])]
			if want, bound := n*q, 5*math.Sqrt(n*q*(1-q)); math.Abs(float64(got)-want) > bound {
				t.Errorf("%s: picked %d times, want %.0f ± %.0f", when, got, want, bound)
			}
		}
		again := func() { // gRPC asks for what is idle
			synctest.Wait()
			ch.settle()
		}
		is("at first", 1)
		ch.at(address(all[0])).tell(connectivity.Idle, nil)
		is("idle", 0)
		again()
		is("connected anew", 1)

		ch.refuse[address(all[0])] = errors.New("connection refused")
		ch.at(address(all[0])).tell(connectivity.Idle, nil)
		again()
		is("lost", 0)
		delete(ch.refuse, address(all[0]))
		time.Sleep(time.Minute)
		ch.at(address(all[0])).tell(connectivity.Idle, nil)
		again()
		is("back", 0.1)
		time.Sleep(5 * time.Second)
		is("back for a while", 0.5)
		time.Sleep(5 * time.Second)
		is("back", 1)
	})
}

func TestResolverErrors(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{}`)
	ch.policy.ResolverError(errors.New("the registry is away"))
	if _, err := ch.picker().Pick(balancer.PickInfo{}); ch.current() != connectivity.TransientFailure || err == nil || !strings.Contains(err.Error(), "the registry is away") {
		t.Errorf("%v and %v, want the resolver's error", ch.current(), err)
	}
	ch.resolve(t, endpoints(3)...)
	ch.policy.ResolverError(errors.New("the registry is away"))
	if got := ch.share(t, 300, ended); len(got) != 3 {
		t.Errorf("picks %v, want all three: what is known stays in use", got)
	}
	err := ch.policy.UpdateClientConnState(balancer.ClientConnState{BalancerConfig: ch.config})
	if !errors.Is(err, balancer.ErrBadResolverState) {
		t.Errorf("%v for no endpoints", err)
	}
	ch.settle()
	if _, err := ch.picker().Pick(balancer.PickInfo{}); ch.current() != connectivity.TransientFailure || err == nil || errors.Is(err, balancer.ErrNoSubConnAvailable) {
		t.Errorf("%v and %v for no endpoints", ch.current(), err)
	}
}

// TestSubset: only as many connections are made.
func TestSubset(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"subset":{"size":5,"client":"shop-1"},"slowStart":"0s"}`)
	all := endpoints(100)
	ch.resolve(t, all...)
	got := ch.share(t, 5000, ended)
	if ch.made != 5 || len(got) != 5 {
		t.Fatalf("%d connections were made and %d picked, want 5", ch.made, len(got))
	}
	for a := range got {
		ch.resolve(t, slices.DeleteFunc(slices.Clone(all), func(e resolver.Endpoint) bool { return address(e) == a })...)
		break
	}
	if after := ch.share(t, 5000, ended); ch.made != 6 || len(after) != 5 {
		t.Errorf("%d connections were made and %d picked after one of them left, want 6 and 5", ch.made, len(after))
	}
}

// TestConfigChange: another configuration is used at once, on the same connections.
func TestConfigChange(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"policy":"round_robin"}`)
	all := endpoints(4)
	for i := range all {
		all[i] = with(all[i], func(in *discovery.Instance) { in.Zone = fmt.Sprint("z", i) })
	}
	ch.resolve(t, all...)
	_, done := ch.pick(t)
	ch.config = parse(t, `{"policy":"random","zone":"z3","zoneOverprovision":4}`)
	ch.resolve(t, all...)
	done(ended) // of a call that began before
	if got := ch.share(t, 100, ended); got[address(all[3])] != 100 || ch.made != 4 {
		t.Errorf("picks %v on %d connections, want all in the zone, on 4", got, ch.made)
	}
}

// TestAnyResolver: endpoints of other resolvers are balanced, too.
func TestAnyResolver(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"subset":{"size":2,"client":"me"}}`)
	ch.resolve(t,
		resolver.Endpoint{Addresses: []resolver.Address{{Addr: "10.0.0.1:80"}, {Addr: "[::1]:80"}}},
		resolver.Endpoint{Addresses: []resolver.Address{{Addr: "10.0.0.2:80"}}},
		resolver.Endpoint{Addresses: []resolver.Address{{Addr: "10.0.0.2:80"}}}, // once more
		resolver.Endpoint{},
	)
	if got := ch.share(t, 100, ended); len(got) != 2 {
		t.Errorf("picks %v, want two", got)
	}
}

// TestResults: what a call's end says of its endpoint.
func TestResults(t *testing.T) {
	fail := func(code codes.Code, trailer ...string) balancer.DoneInfo {
		return balancer.DoneInfo{Err: status.Error(code, "because"), BytesSent: true, Trailer: metadata.Pairs(trailer...)}
	}
	const push = "grpc-retry-pushback-ms"
	for _, c := range []struct {
		name  string
		info  balancer.DoneInfo
		want  core.Result
		after time.Duration
	}{
		{"ok", ended, core.OK, 0},
		{"never sent", balancer.DoneInfo{}, core.Ignored, 0},
		{"never sent, with an error", balancer.DoneInfo{Err: status.Error(codes.Unavailable, "closing")}, core.Ignored, 0},
		{"an error without a status", balancer.DoneInfo{Err: errors.New("x"), BytesSent: true}, core.Failed, 0},
		{"canceled", fail(codes.Canceled), core.Ignored, 0},
		{"unknown", fail(codes.Unknown), core.Failed, 0},
		{"invalid", fail(codes.InvalidArgument), core.OK, 0},
		{"late", fail(codes.DeadlineExceeded), core.Failed, 0},
		{"not found", fail(codes.NotFound), core.OK, 0},
		{"exists", fail(codes.AlreadyExists), core.OK, 0},
		{"denied", fail(codes.PermissionDenied), core.OK, 0},
		{"exhausted", fail(codes.ResourceExhausted), core.Overload, 0},
		{"exhausted, with push-back", fail(codes.ResourceExhausted, push, "250"), core.Overload, 250 * time.Millisecond},
		{"precondition", fail(codes.FailedPrecondition), core.OK, 0},
		{"aborted", fail(codes.Aborted), core.OK, 0},
		{"out of range", fail(codes.OutOfRange), core.OK, 0},
		{"unimplemented", fail(codes.Unimplemented), core.OK, 0},
		{"internal", fail(codes.Internal), core.Failed, 0},
		{"unavailable", fail(codes.Unavailable), core.Failed, 0},
		{"unavailable, with push-back", fail(codes.Unavailable, push, "1000"), core.Overload, time.Second},
		{"unavailable, not to be tried again", fail(codes.Unavailable, push, "-1"), core.Failed, 0},
		{"unavailable, with nonsense", fail(codes.Unavailable, push, "soon"), core.Failed, 0},
		{"unavailable, with two", fail(codes.Unavailable, push, "1", push, "2"), core.Failed, 0},
		{"data loss", fail(codes.DataLoss), core.Failed, 0},
		{"unauthenticated", fail(codes.Unauthenticated), core.OK, 0},
		{"no code of gRPC's", fail(99), core.Failed, 0},
	} {
		if got, after := grpcbalancer.ResultOf(c.info); got != c.want || after != c.after {
			t.Errorf("%s: %v after %v, want %v after %v", c.name, got, after, c.want, c.after)
		}
	}
}

// TestEjection: results get to the core by Done, and what fails is out.
func TestEjection(t *testing.T) {
	ch := newChannel(t, grpcbalancer.Name, `{"policy":"random","outlierEjection":{"consecutiveFailures":3}}`)
	all := endpoints(10)
	ch.resolve(t, all...)
	for failed := 0; failed < 3; {
		a, done := ch.pick(t)
		info := ended
		if a == address(all[0]) {
			info.Err = status.Error(codes.Internal, "broken")
			failed++
		}
		done(info)
	}
	if got := ch.share(t, 1000, ended); got[address(all[0])] != 0 {
		t.Errorf("it was picked %d times after three failures in a row", got[address(all[0])])
	}
}

func FuzzPushback(f *testing.F) {
	for _, s := range []string{"", "0", "100", "-1", "+5", " 1", "1e3", "99999999999999999999", "18446744073709551615"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		info := balancer.DoneInfo{Err: status.Error(codes.ResourceExhausted, ""), BytesSent: true, Trailer: metadata.MD{"grpc-retry-pushback-ms": {s}}}
		if result, after := grpcbalancer.ResultOf(info); result != core.Overload || after < 0 || after > 1<<31*time.Millisecond {
			t.Errorf("%q is %v after %v", s, result, after)
		}
	})
}

// TestAllocations: neither a pick nor its end allocates, measured or not.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range contenders[:3] {
		ch := newChannel(t, c.policy, c.config)
		ch.resolve(t, endpoints(100)...)
		p, info := ch.picker(), balancer.PickInfo{Ctx: t.Context()}
		for _, phase := range []string{"measured", "sampled"} {
			if n := testing.AllocsPerRun(100, func() {
				for range 100 { // an average is rounded down
					r, err := p.Pick(info)
					if err != nil {
						t.Fatal(err)
					}
					r.Done(ended)
				}
			}); n != 0 {
				t.Errorf("%s, %s: %v allocations in 100 calls, want 0", c.name, phase, n)
			}
			for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); { // until most calls are not
				r, _ := p.Pick(info)
				r.Done(ended)
			}
		}
	}
}

// TestManyEndpoints: with 10,000, one more costs what one costs, and no connection but its own.
func TestManyEndpoints(t *testing.T) {
	const n = 10_000
	ch := newChannel(t, grpcbalancer.Name, `{}`)
	all := endpoints(n + 1)
	ch.resolve(t, all[:n]...)
	if ch.made != n {
		t.Fatalf("%d connections, want %d", ch.made, n)
	}
	start := time.Now()
	ch.resolve(t, all...)
	took := time.Since(start)
	ch.resolve(t, append(slices.Clone(all[:17]), all[18:]...)...)
	if ch.made != n+1 {
		t.Errorf("%d connections were made, want one more", ch.made)
	}
	t.Logf("an update by one of %d endpoints took %v", n, took)
	if took > 100*time.Millisecond && !raceEnabled {
		t.Errorf("%v for one more endpoint, want some milliseconds", took)
	}
}
