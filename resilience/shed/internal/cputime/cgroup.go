// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// cgroup reads the control group with the tightest quota among that of this process
// and those above it. It reports false if there is none with a quota.
//
// What all members of a group use counts, because they share the quota.
func cgroup(fsys fs.FS) (Reading, bool) {
	own, ok1 := readText(fsys, "proc/self/cgroup")
	mounted, ok2 := readText(fsys, "proc/self/mountinfo")
	if !ok1 || !ok2 {
		return Reading{}, false
	}
	paths, mounts := parseCgroups(own), parseMounts(mounted)
	if r, ok := cgroup2(fsys, paths, mounts); ok {
		return r, true
	}
	return cgroup1(fsys, paths, mounts)
}

func cgroup2(fsys fs.FS, paths map[string]string, mounts []mount) (Reading, bool) {
	tightest := Reading{Source: SourceCgroup2}
	for _, dir := range dirs(paths, mounts, "") {
		text, ok := readText(fsys, path.Join(dir, "cpu.max"))
		if !ok {
			continue
		}
		cores, ok := parseMax(text)
		if !ok || tightest.Cores != 0 && cores >= tightest.Cores {
			continue
		}
		stat, _ := readText(fsys, path.Join(dir, "cpu.stat"))
		if used, ok := parseUsage(stat); ok {
			tightest.Cores, tightest.Used = cores, used
		}
	}
	return tightest, tightest.Cores > 0
}

func cgroup1(fsys fs.FS, paths map[string]string, mounts []mount) (Reading, bool) {
	tightest := Reading{Source: SourceCgroup1}
	quotas, usages := dirs(paths, mounts, "cpu"), dirs(paths, mounts, "cpuacct")
	if len(quotas) != len(usages) {
		return Reading{}, false // one of the two is not mounted, or elsewhere
	}
	for i, dir := range quotas {
		quota, _ := readText(fsys, path.Join(dir, "cpu.cfs_quota_us"))
		period, _ := readText(fsys, path.Join(dir, "cpu.cfs_period_us"))
		cores, ok := parseQuota(quota, period)
		if !ok || tightest.Cores != 0 && cores >= tightest.Cores {
			continue
		}
		text, _ := readText(fsys, path.Join(usages[i], "cpuacct.usage"))
		if used, ok := parseNanoseconds(text); ok {
			tightest.Cores, tightest.Used = cores, used
		}
	}
	return tightest, tightest.Cores > 0
}

// dirs returns the folders of the process's group and of those above it, as far up
// as they are mounted. The controller of cgroup v2 is "".
func dirs(paths map[string]string, mounts []mount, controller string) []string {
	own, ok := paths[controller]
	i := slices.IndexFunc(mounts, func(m mount) bool { return slices.Contains(m.controllers, controller) })
	if !ok || i < 0 {
		return nil
	}
	m := mounts[i]
	// In a container without a namespace of its own, the group's path is the host's,
	// of which the mount shows the part from its root. A path that is not below that
	// root is outside of the namespace: what is mounted has to do.
	rel, below := strings.CutPrefix(own, m.root)
	if m.root == "/" {
		rel, below = own, true
	}
	if !below || rel != "" && rel[0] != '/' {
		rel = ""
	}
	var all []string
	for rel = path.Clean("/" + rel); ; rel = path.Dir(rel) {
		all = append(all, path.Join(m.point, rel))
		if rel == "/" {
			return all
		}
	}
}
