// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"errors"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// mount is a mounted hierarchy of control groups.
type mount struct {
	root  string // what of the hierarchy is mounted
	point string // where, without the leading slash, as fs.FS wants it
	// controllers are those of cgroup v1, or just "" for cgroup v2.
	controllers []string
}

// parseCgroups parses /proc/self/cgroup, cgroups(7): lines of
// "hierarchy-id:controllers:path". It returns the path of each controller; that of
// cgroup v2 is "".
func parseCgroups(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		if parts[0] != "0" && parts[1] == "" {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			paths[controller] = parts[2]
		}
	}
	return paths
}

// parseMounts parses /proc/self/mountinfo, proc(5), and returns the mounts of
// control groups:
//
//	36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup2 cgroup rw,super
//	(0)(1)(2)  (3)   (4)          (5)        (6)...  - type   source options
func parseMounts(text string) []mount {
	var mounts []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 6 || len(tail) < 3 {
			continue
		}
		root, point := unescape(head[3]), unescape(head[4])
		if !strings.HasPrefix(root, "/") || !strings.HasPrefix(point, "/") {
			continue
		}
		m := mount{root: root, point: strings.TrimPrefix(path.Clean(point), "/")}
		if m.point == "" {
			continue
		}
		switch tail[0] {
		case "cgroup2":
			m.controllers = []string{""}
		case "cgroup":
			m.controllers = strings.Split(tail[2], ",")
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

var unescaper = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// unescape undoes the escapes of a field of mountinfo.
func unescape(s string) string { return unescaper.Replace(s) }

// parseMax parses cpu.max of cgroup v2, "quota period" in microseconds, into cores.
// It reports false for "max", which is no quota.
func parseMax(text string) (cores float64, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0, false
	}
	return parseQuota(fields[0], fields[1])
}

// parseQuota parses a quota and its period into cores. It reports false for a quota
// that is none, such as cgroup v1's -1.
func parseQuota(quota, period string) (cores float64, ok bool) {
	q, err1 := strconv.ParseInt(strings.TrimSpace(quota), 10, 64)
	p, err2 := strconv.ParseInt(strings.TrimSpace(period), 10, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

// parseUsage parses cpu.stat of cgroup v2, lines of "name value", and returns
// usage_usec.
func parseUsage(text string) (time.Duration, bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == "usage_usec" {
			return parseTime(fields[1], time.Microsecond)
		}
	}
	return 0, false
}

// parseNanoseconds parses cpuacct.usage of cgroup v1.
func parseNanoseconds(text string) (time.Duration, bool) {
	return parseTime(strings.TrimSpace(text), time.Nanosecond)
}

// userTick is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go
// knows.
const userTick = 10 * time.Millisecond

var errStat = errors.New("cputime: /proc/stat has no times of CPUs")

// parseStat parses /proc/stat, proc(5): "cpu user nice system idle iowait irq
// softirq steal guest guest_nice", and a line "cpuN …" for each CPU that is online.
func parseStat(text string) (Reading, error) {
	r := Reading{Source: SourceMachine}
	found := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			r.Cores++
			continue
		}
		used, ok := busy(fields[1:])
		if !ok {
			return Reading{}, errStat
		}
		r.Used, found = used, true
	}
	if !found || r.Cores == 0 {
		return Reading{}, errStat
	}
	return r, nil
}

// busy adds up the times in which CPUs did something. Those of guests are part of
// user's and nice's.
func busy(times []string) (time.Duration, bool) {
	const idle, iowait, guest = 3, 4, 8
	if len(times) <= idle {
		return 0, false
	}
	var sum time.Duration
	for i, text := range times[:min(len(times), guest)] {
		d, ok := parseTime(text, userTick)
		if !ok {
			return 0, false
		}
		if i == idle || i == iowait {
			continue
		}
		if sum += d; sum < 0 {
			return 0, false
		}
	}
	return sum, true
}

// parseTime parses a number of units that is not negative and that a Duration can
// hold.
func parseTime(text string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
