// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// script is an inspector that says what it is told to.
type script struct {
	mu      sync.Mutex
	cluster discovery.Cluster
	err     error
	hangs   bool
	stuck   chan struct{} // to wait for, whatever the context says
	asked   []time.Time
}

func (s *script) Inspect(ctx context.Context) (discovery.Cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	if hangs, stuck := s.hangs, s.stuck; hangs || stuck != nil {
		s.mu.Unlock()
		defer s.mu.Lock()
		if stuck != nil {
			<-stuck
			return discovery.Cluster{}, nil
		}
		<-ctx.Done()
		return discovery.Cluster{}, ctx.Err()
	}
	return s.cluster, s.err
}

func (s *script) say(change func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster.Members = slices.Clone(s.cluster.Members)
	change(s)
}

// healthy returns a cluster of n servers called s0 and so on, of which s0 leads.
func healthy(n int) discovery.Cluster {
	c := discovery.Cluster{Leader: "s0", FaultTolerance: (n - 1) / 2}
	for i := range n {
		c.Members = append(c.Members, discovery.ClusterMember{
			Name: fmt.Sprint("s", i), Leader: i == 0, Sees: "s0", Voter: true, Health: discovery.HealthPassing,
			Term: 4, Index: 100_000, DBSize: 1 << 20, DBQuota: 1 << 31, Latency: 2 * time.Millisecond,
		})
	}
	return c
}

// rounds is what the observers of a patrol were told.
type rounds struct {
	mu      sync.Mutex
	rounds  []discovery.PatrolRound
	changes []string
}

func (r *rounds) observer() discovery.EveryOption {
	return discovery.WithObserver(discovery.Observer{
		PatrolDone: func(e discovery.PatrolRound) { r.mu.Lock(); defer r.mu.Unlock(); r.rounds = append(r.rounds, e) },
		FindingChanged: func(c discovery.FindingChange) {
			r.mu.Lock()
			defer r.mu.Unlock()
			sign := "+ "
			if c.Over {
				sign = fmt.Sprintf("- after %v ", c.After)
			}
			r.changes = append(r.changes, sign+c.Finding.String())
		},
	})
}

// take returns the changes since it was last called.
func (r *rounds) take() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := r.changes
	r.changes = nil
	return changes
}

func (r *rounds) last() discovery.PatrolRound {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rounds[len(r.rounds)-1]
}

func wantChanges(t *testing.T, r *rounds, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.take()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// patrol begins a patrol in a bubble, with a round each 30 s exactly.
func patrol(t *testing.T, s discovery.Inspector, r *rounds, opts ...discovery.PatrolOption) *discovery.Patrol {
	t.Helper()
	opts = append([]discovery.PatrolOption{discovery.WithJitter(0), r.observer()}, opts...)
	p := must[*discovery.Patrol](t)(discovery.NewPatrol(s, opts...))
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Second) // past the first round, and out of step with the others
	return p
}

// TestPatrolFindings: each thing that can be wrong is told once when it begins, in the
// round in which it counts, and once when it is over.
func TestPatrolFindings(t *testing.T) {
	for _, tc := range []struct {
		name   string
		break_ func(*script)
		rounds int // after which it counts
		want   string
		check  bool // a health check fails for it
	}{
		{"unreachable", func(s *script) { s.err = errors.New("connection refused") }, 1, "unreachable: connection refused", true},
		{"no leader", func(s *script) { s.cluster.Leader = "" }, 1, "no_leader: none of 3 members leads", true},
		{"split", func(s *script) { s.cluster.Members[2].Sees = "s2" }, 1, "split: members name s0 and s2 as their leader", true},
		{"terms", func(s *script) { s.cluster.Members[1].Term = 3 }, 2, "terms: members are in terms 3 and 4", false},
		{"member down", func(s *script) {
			s.cluster.Members[1] = discovery.ClusterMember{Name: "s1", Voter: true, Health: discovery.HealthFailing, Err: errors.New("no route")}
		}, 1, "member: s1: no route", false},
		{"member failing", func(s *script) { s.cluster.Members[1].Health = discovery.HealthFailing }, 1, "member: s1: fails its checks", false},
		{"member down, and what it last knew", func(s *script) {
			m := &s.cluster.Members[1]
			m.Health, m.Term, m.Index = discovery.HealthFailing, 3, 5
		}, 1, "member: s1: fails its checks", false},
		{"lagging", func(s *script) { s.cluster.Members[1].Index -= 1001 }, 2, "lagging: s1: 1001 log entries behind, more than 1000", false},
		{"slow", func(s *script) { s.cluster.Members[0].Latency = 1100 * time.Millisecond }, 2, "slow: s0: answered after 1.1s, more than 1s", false},
		{"db size", func(s *script) { s.cluster.Members[0].DBSize = 1800 << 20 }, 1, "db_size: s0: database of 1887436800 bytes, 88% of its quota", false},
		{"alarm of a member", func(s *script) { s.cluster.Members[0].Alarms = []string{"NOSPACE", "CORRUPT"} }, 1, "alarm: s0: NOSPACE, CORRUPT", true},
		{"alarm", func(s *script) { s.cluster.Alarms = []string{"NOSPACE"} }, 1, "alarm: NOSPACE", true},
		{"no tolerance", func(s *script) { s.cluster.FaultTolerance = 0 }, 1, "no_tolerance: of 3 voters none may fail", false},
		{"no answer", func(s *script) { s.hangs = true }, 1, "unreachable: discovery: the registry's servers have not answered within 5s: context deadline exceeded", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := &script{cluster: healthy(3)}, &rounds{}
				p := patrol(t, s, r)
				wantChanges(t, r)
				if err := p.Check(t.Context()); err != nil {
					t.Errorf("healthy, and the check says %v", err)
				}
				s.say(tc.break_)
				for range tc.rounds - 1 {
					time.Sleep(30 * time.Second)
					wantChanges(t, r)
				}
				time.Sleep(35 * time.Second) // 5 s for the one that hangs
				wantChanges(t, r, "+ "+tc.want)
				if err := p.Check(t.Context()); (err != nil) != tc.check || err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("the check says %v", err)
				}
				if st := p.Status(); len(st.Findings) != 1 || st.Findings[0].String() != tc.want {
					t.Errorf("status has %v", st.Findings)
				}
				time.Sleep(5 * time.Minute)
				wantChanges(t, r)
				s.say(func(s *script) { s.cluster, s.err, s.hangs = healthy(3), nil, false })
				time.Sleep(40 * time.Second)
				got := r.take()
				if len(got) != 1 || !strings.HasPrefix(got[0], "- after ") || !strings.HasSuffix(got[0], tc.want) {
					t.Errorf("when it was over: %v", got)
				}
				if st := p.Status(); len(st.Findings) != 0 || p.Check(t.Context()) != nil {
					t.Errorf("and still: %v", st.Findings)
				}
			})
		})
	}
}

// TestPatrolQuiet: what a healthy cluster shows, or does not tell, is nothing to
// complain about.
func TestPatrolQuiet(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*script)
	}{
		{"healthy", func(*script) {}},
		{"one server", func(s *script) { s.cluster = healthy(1) }},
		{"behind by as much as is allowed", func(s *script) { s.cluster.Members[1].Index -= 1000 }},
		{"as slow as is allowed", func(s *script) { s.cluster.Members[1].Latency = time.Second }},
		{"as large as is allowed", func(s *script) { s.cluster.Members[1].DBSize = 8 << 20; s.cluster.Members[1].DBQuota = 10 << 20 }},
		{"nothing is known but the leader", func(s *script) {
			s.cluster = discovery.Cluster{Leader: "s0", FaultTolerance: -1, Members: []discovery.ClusterMember{{Name: "s0"}, {Name: "s1"}, {Name: "s2"}}}
		}},
		{"a learner is down as far as votes go", func(s *script) {
			s.cluster.FaultTolerance = -1
			s.cluster.Members = append(s.cluster.Members, discovery.ClusterMember{Name: "s3", Health: discovery.HealthPassing})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := &script{cluster: healthy(3)}, &rounds{}
				s.say(tc.change)
				p := patrol(t, s, r)
				time.Sleep(10 * time.Minute)
				wantChanges(t, r)
				if err := p.Check(t.Context()); err != nil {
					t.Errorf("the check says %v", err)
				}
			})
		})
	}
}

// TestPatrolForAMoment: what is seen in one round between others does not count where
// members may not have been asked at the same instant.
func TestPatrolForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(3)}, &rounds{}
		patrol(t, s, r)
		for i := range 20 {
			s.say(func(s *script) {
				s.cluster = healthy(3)
				if i%2 == 0 {
					s.cluster.Members[1].Index, s.cluster.Members[1].Term, s.cluster.Members[1].Latency = 5, 3, time.Minute
				}
			})
			time.Sleep(30 * time.Second)
		}
		wantChanges(t, r)
	})
}

// TestPatrolLeaderChanges: they are counted, across rounds without a leader or an
// answer, and losing one and having it again is none.
func TestPatrolLeaderChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(3)}, &rounds{}
		p := patrol(t, s, r)
		for i, leader := range []string{"s0", "s1", "", "s1", "", "s2", "?", "s2", "s0"} {
			s.say(func(s *script) {
				s.cluster.Leader, s.err = leader, nil
				if leader == "?" {
					s.err = errors.New("away")
				}
			})
			time.Sleep(30 * time.Second)
			if got, want := r.last().LeaderChanged, i == 1 || i == 5 || i == 8; got != want {
				t.Errorf("step %d, %q: changed is %t", i, leader, got)
			}
		}
		if st := p.Status(); st.LeaderChanges != 3 || st.Rounds != 10 || st.FailedRounds != 1 {
			t.Errorf("%d changes in %d rounds, of which %d failed, want 3, 10 and 1", st.LeaderChanges, st.Rounds, st.FailedRounds)
		}
	})
}

// TestPatrolBlind: while nobody answers, what was wrong is believed to be.
func TestPatrolBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(3)}, &rounds{}
		s.say(func(s *script) { s.cluster.Members[1].Health = discovery.HealthFailing })
		p := patrol(t, s, r)
		wantChanges(t, r, "+ member: s1: fails its checks")
		s.say(func(s *script) { s.err = errors.New("away") })
		time.Sleep(time.Minute)
		wantChanges(t, r, "+ unreachable: away")
		st := p.Status()
		if len(st.Findings) != 2 || st.Err == nil || st.Cluster.Leader != "s0" || time.Since(st.At) != 61*time.Second {
			t.Errorf("status %+v", st)
		}
		s.say(func(s *script) { s.err = nil })
		time.Sleep(30 * time.Second)
		wantChanges(t, r, "- after 1m0s unreachable: away")
	})
}

// TestPatrolPace: the first round at once, then one each interval, shortened by the
// jitter at the most; one at a time, whatever asks for it.
func TestPatrolPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(1)}, &rounds{}
		begun := time.Now()
		p := patrol(t, s, r, discovery.WithJitter(0.5), discovery.WithPatrolInterval(10*time.Second))
		time.Sleep(time.Hour)
		synctest.Wait()
		s.say(func(s *script) {
			if !s.asked[0].Equal(begun) {
				t.Errorf("first round after %v", s.asked[0].Sub(begun))
			}
			different := false
			for i := 1; i < len(s.asked); i++ {
				d := s.asked[i].Sub(s.asked[i-1])
				if d < 5*time.Second || d > 10*time.Second {
					t.Errorf("round %d came after %v", i, d)
				}
				different = different || d != s.asked[1].Sub(s.asked[0])
			}
			if n := len(s.asked); !different || n < 400 || n > 560 {
				t.Errorf("%d rounds in an hour, jittered: %t", n, different)
			}
			s.asked = nil
		})
		p.Refresh()
		synctest.Wait()
		s.say(func(s *script) {
			if len(s.asked) != 1 {
				t.Errorf("%d rounds after Refresh", len(s.asked))
			}
		})
	})
}

// TestPatrolCheckNoticesSilence: a check fails if there is no round, or none any more.
func TestPatrolCheckNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(1), hangs: true}, &rounds{}
		p := patrol(t, s, r)
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not asked yet") {
			t.Errorf("before the first round: %v", err)
		}
		s.say(func(s *script) { s.hangs = false })
		time.Sleep(time.Minute)
		if err := p.Check(t.Context()); err != nil {
			t.Errorf("after some: %v", err)
		}
		s.say(func(s *script) { s.stuck = make(chan struct{}) })
		time.Sleep(10 * time.Minute)
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no round of the patrol for 10m") {
			t.Errorf("with an inspector that never returns: %v", err)
		}
		close(s.stuck)
	})
}

// TestPatrolCritical: what a health check fails for is to be chosen.
func TestPatrolCritical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &script{cluster: healthy(3)}, &rounds{}
		s.say(func(s *script) { s.cluster.Leader = ""; s.cluster.FaultTolerance = 0 })
		if err := patrol(t, s, r, discovery.WithCritical()).Check(t.Context()); err != nil {
			t.Errorf("without any: %v", err)
		}
		err := patrol(t, s, r, discovery.WithCritical(discovery.FindingNoTolerance)).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no_tolerance") || strings.Contains(err.Error(), "no_leader") {
			t.Errorf("with another: %v", err)
		}
	})
}

func TestPatrolOptions(t *testing.T) {
	_, err := discovery.NewPatrol(memory.New(), discovery.WithPatrolInterval(0), discovery.WithMaxLatency(-1), discovery.WithMaxDBShare(2),
		discovery.WithCritical(99), discovery.WithCallTimeout(0), discovery.WithSweep(nil, 0))
	for _, want := range []string{
		"discovery: call timeout 0s: must be positive",
		"discovery: patrol interval 0s: must be at least 100ms",
		"discovery: max latency -1ns: must be positive",
		"discovery: max database share 2: must be more than 0 and at most 1",
		"discovery: rounds from one sweep to the next 0: must be at least 1",
		"discovery: critical finding 99: must be one of the constants, 0 to 9",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := discovery.NewPatrol(nil); err == nil {
		t.Error("a patrol of nothing")
	}
}

func TestPatrolNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range discovery.FindingKinds() {
		seen[k.String()] = true
	}
	for _, k := range discovery.LeftoverKinds() {
		seen[k.String()] = true
	}
	if want := int(discovery.FindingNoTolerance) + int(discovery.LeftoverDuplicate) + 2; len(seen) != want || seen["invalid"] {
		t.Errorf("names %v, want %d", seen, want)
	}
	if discovery.FindingKind(99).String() != "invalid" || discovery.LeftoverKind(99).String() != "invalid" {
		t.Error("an unknown kind has a name")
	}
}

// TestTolerance: as the registry says, or by the voters.
func TestTolerance(t *testing.T) {
	member := func(voter bool, h discovery.Health) discovery.ClusterMember {
		return discovery.ClusterMember{Voter: voter, Health: h}
	}
	up, down, unknown, learner := member(true, discovery.HealthPassing), member(true, discovery.HealthFailing), member(true, discovery.HealthUnknown), member(false, discovery.HealthPassing)
	for _, tc := range []struct {
		members []discovery.ClusterMember
		says    int
		want    [2]int
	}{
		{nil, -1, [2]int{0, 0}},
		{[]discovery.ClusterMember{up}, -1, [2]int{0, 1}},
		{[]discovery.ClusterMember{up, up, up}, -1, [2]int{1, 3}},
		{[]discovery.ClusterMember{up, unknown, down}, -1, [2]int{0, 3}},
		{[]discovery.ClusterMember{up, down, down}, -1, [2]int{0, 3}},
		{[]discovery.ClusterMember{up, up, up, up, down, learner}, -1, [2]int{1, 5}},
		{[]discovery.ClusterMember{up, up, up, up, up, learner}, -1, [2]int{2, 5}},
		{[]discovery.ClusterMember{up, up, up}, 7, [2]int{7, 3}},
	} {
		c := discovery.Cluster{Members: tc.members, FaultTolerance: tc.says}
		if left, voters := c.Tolerance(); [2]int{left, voters} != tc.want {
			t.Errorf("%v: %d of %d", tc.members, left, voters)
		}
	}
}

// TestPatrolObserverMayAsk: observers may ask the patrol, which is not locked.
func TestPatrolObserverMayAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *discovery.Patrol
		ready, asked := make(chan struct{}), false
		p = must[*discovery.Patrol](t)(discovery.NewPatrol(memory.New(), discovery.WithObserver(discovery.Observer{
			PatrolDone: func(discovery.PatrolRound) {
				<-ready
				asked = p.Status().Rounds == 1 && p.Check(t.Context()) == nil
			},
		})))
		close(ready)
		synctest.Wait()
		if err := p.Close(); err != nil || !asked {
			t.Errorf("asked %t, %v", asked, err)
		}
		_ = p.Close()
	})
}
