// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FindingKind is a kind of thing that can be wrong with the servers of a registry.
type FindingKind uint8

// The kinds of findings. Those that a healthy cluster shows for a moment, because its
// members are not asked at the same instant, count from the second round in a row.
const (
	// FindingUnreachable: no server answered. What was found before stays as it was.
	FindingUnreachable FindingKind = iota
	// FindingNoLeader: nobody leads. Nothing can be registered or renewed.
	FindingNoLeader
	// FindingSplit: members that were asked name different leaders.
	FindingSplit
	// FindingTerms: members know of different terms, in two rounds.
	FindingTerms
	// FindingMember: a member is down or fails its checks.
	FindingMember
	// FindingLagging: a member's log is behind by more than [WithMaxLag], in two
	// rounds.
	FindingLagging
	// FindingSlow: a member took longer to answer than [WithMaxLatency], in two
	// rounds.
	FindingSlow
	// FindingDBSize: a member's database is nearer to its quota than [WithMaxDBShare].
	FindingDBSize
	// FindingAlarm: a member, or the cluster, raised an alarm.
	FindingAlarm
	// FindingNoTolerance: one more failure takes the majority away. A cluster of one
	// voter is not complained about.
	FindingNoTolerance
)

var findingNames = [...]string{
	"unreachable", "no_leader", "split", "terms", "member", "lagging", "slow", "db_size", "alarm", "no_tolerance",
}

// FindingKinds returns all kinds.
func FindingKinds() []FindingKind {
	kinds := make([]FindingKind, len(findingNames))
	for i := range kinds {
		kinds[i] = FindingKind(i)
	}
	return kinds
}

// String returns the name of the kind in lower case, as in labels.
func (k FindingKind) String() string {
	if int(k) < len(findingNames) {
		return findingNames[k]
	}
	return "invalid"
}

// rounds returns in how many rounds in a row something has to be found to count.
func (k FindingKind) rounds() int {
	switch k {
	case FindingTerms, FindingLagging, FindingSlow:
		return 2
	default:
		return 1
	}
}

// Finding is something that is wrong with the servers of a registry.
type Finding struct {
	Kind FindingKind
	// Member is the name of the one that it is about; empty for the whole cluster.
	Member string
	// Detail is what was found, with its figures, as of the last round that found it.
	Detail string
	// Since is when it was first found.
	Since time.Time
}

// String returns the kind, the member and the detail.
func (f Finding) String() string {
	if f.Member == "" {
		return f.Kind.String() + ": " + f.Detail
	}
	return f.Kind.String() + ": " + f.Member + ": " + f.Detail
}

// FindingChange is a finding that is new, or over.
type FindingChange struct {
	Finding Finding
	// Over says that it is not so any more, and After how long it was.
	Over  bool
	After time.Duration
}

// findingKey is what a finding is the same by, whatever its figures.
type findingKey struct {
	kind   FindingKind
	member string
}

func (f *Finding) key() findingKey { return findingKey{f.Kind, f.Member} }

// findings collects what is wrong.
type findings []Finding

func (fs *findings) add(kind FindingKind, member, format string, args ...any) {
	*fs = append(*fs, Finding{Kind: kind, Member: member, Detail: fmt.Sprintf(format, args...)})
}

// judge says what is wrong with a cluster.
func (p *Patrol) judge(c Cluster, err error) []Finding {
	var fs findings
	if err != nil {
		fs.add(FindingUnreachable, "", "%v", err)
		return fs
	}
	if c.Leader == "" {
		fs.add(FindingNoLeader, "", "none of %d members leads", len(c.Members))
	}
	fs.agreement(c)
	for i := range c.Members {
		fs.member(&c, &c.Members[i], &p.cfg)
	}
	if len(c.Alarms) > 0 {
		fs.add(FindingAlarm, "", "%s", strings.Join(c.Alarms, ", "))
	}
	asked := slices.ContainsFunc(c.Members, func(m ClusterMember) bool { return m.Latency > 0 })
	if !asked && c.Latency > p.cfg.maxLatency { // otherwise it is the slowest member's
		fs.add(FindingSlow, "", "answered after %v, more than %v", c.Latency.Round(time.Millisecond), p.cfg.maxLatency)
	}
	if left, voters := c.Tolerance(); voters > 1 && left == 0 {
		fs.add(FindingNoTolerance, "", "of %d voters none may fail", voters)
	}
	return fs
}

// agreement looks whether members know of the same leader and the same term.
func (fs *findings) agreement(c Cluster) {
	var leaders, terms []string
	for _, m := range c.Members {
		if m.Sees != "" {
			leaders = append(leaders, m.Sees)
		}
		if m.Term != 0 && m.Health != HealthFailing {
			terms = append(terms, fmt.Sprint(m.Term))
		}
	}
	if l := distinct(leaders); len(l) > 1 {
		fs.add(FindingSplit, "", "members name %s as their leader", strings.Join(l, " and "))
	}
	if t := distinct(terms); len(t) > 1 {
		fs.add(FindingTerms, "", "members are in terms %s", strings.Join(t, " and "))
	}
}

func distinct(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }

// member looks at one member.
func (fs *findings) member(c *Cluster, m *ClusterMember, cfg *patrolConfig) {
	if m.Health == HealthFailing {
		if m.Err != nil {
			fs.add(FindingMember, m.Name, "%v", m.Err)
		} else {
			fs.add(FindingMember, m.Name, "fails its checks")
		}
	}
	if behind := c.Lag(m); m.Health != HealthFailing && behind > cfg.maxLag {
		fs.add(FindingLagging, m.Name, "%d log entries behind, more than %d", behind, cfg.maxLag)
	}
	if m.Latency > cfg.maxLatency {
		fs.add(FindingSlow, m.Name, "answered after %v, more than %v", m.Latency.Round(time.Millisecond), cfg.maxLatency)
	}
	if share := float64(m.DBSize) / float64(max(m.DBQuota, 1)); m.DBQuota > 0 && share > cfg.maxDBShare {
		fs.add(FindingDBSize, m.Name, "database of %d bytes, %.0f%% of its quota", m.DBSize, 100*share)
	}
	if len(m.Alarms) > 0 {
		fs.add(FindingAlarm, m.Name, "%s", strings.Join(m.Alarms, ", "))
	}
}
