// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"math"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	mountV2   = "30 25 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountRoot = "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
	mountV1   = "31 25 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
		"33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	stat2 = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"
)

func files(f map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range f {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestCgroup(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  Reading // none if it has no source
	}{
		{
			name: "v2 in a container with a namespace",
			files: map[string]string{
				"proc/self/cgroup":       "0::/\n",
				"proc/self/mountinfo":    mountRoot + mountV2,
				"sys/fs/cgroup/cpu.max":  "150000 100000\n",
				"sys/fs/cgroup/cpu.stat": stat2,
			},
			want: Reading{2500 * time.Millisecond, 1.5, SourceCgroup2},
		},
		{
			name: "v2 without a quota",
			files: map[string]string{
				"proc/self/cgroup":       "0::/\n",
				"proc/self/mountinfo":    mountRoot + mountV2,
				"sys/fs/cgroup/cpu.max":  "max 100000\n",
				"sys/fs/cgroup/cpu.stat": stat2,
			},
		},
		{
			name: "v2, the quota of a group above is the tightest",
			files: map[string]string{
				"proc/self/cgroup":                           "0::/kube.slice/pod7/app\n",
				"proc/self/mountinfo":                        mountRoot + mountV2,
				"sys/fs/cgroup/kube.slice/pod7/app/cpu.max":  "400000 100000\n",
				"sys/fs/cgroup/kube.slice/pod7/app/cpu.stat": stat2,
				"sys/fs/cgroup/kube.slice/pod7/cpu.max":      "200000 100000\n",
				"sys/fs/cgroup/kube.slice/pod7/cpu.stat":     "usage_usec 4000000\n",
				"sys/fs/cgroup/kube.slice/cpu.max":           "max 100000\n",
				"sys/fs/cgroup/kube.slice/cpu.stat":          "usage_usec 9000000\n",
			},
			want: Reading{4 * time.Second, 2, SourceCgroup2},
		},
		{
			name: "v2 in a container without a namespace of its own",
			files: map[string]string{
				"proc/self/cgroup":       "0::/docker/abc\n",
				"proc/self/mountinfo":    "30 25 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
				"sys/fs/cgroup/cpu.max":  "50000 100000\n",
				"sys/fs/cgroup/cpu.stat": stat2,
			},
			want: Reading{2500 * time.Millisecond, 0.5, SourceCgroup2},
		},
		{
			name: "v2, a group outside of what is mounted",
			files: map[string]string{
				"proc/self/cgroup":       "0::/../other\n",
				"proc/self/mountinfo":    "30 25 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
				"sys/fs/cgroup/cpu.max":  "50000 100000\n",
				"sys/fs/cgroup/cpu.stat": stat2,
			},
			want: Reading{2500 * time.Millisecond, 0.5, SourceCgroup2},
		},
		{
			name: "a group whose name only begins like the mount's root",
			files: map[string]string{
				"proc/self/cgroup":             "0::/docker/abcdef\n",
				"proc/self/mountinfo":          "30 25 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
				"sys/fs/cgroup/cpu.max":        "50000 100000\n",
				"sys/fs/cgroup/cpu.stat":       stat2,
				"sys/fs/cgroupdef/cpu.max":     "1000 100000\n",
				"sys/fs/cgroup/def/cpu.max":    "1000 100000\n",
				"sys/fs/cgroup/def/cpu.stat":   "usage_usec 1\n",
				"sys/fs/cgroupdef/cpu.stat":    "usage_usec 1\n",
				"sys/fs/cgroup/abcdef/cpu.max": "1000 100000\n",
			},
			want: Reading{2500 * time.Millisecond, 0.5, SourceCgroup2},
		},
		{
			name: "v2, a mount point with a space",
			files: map[string]string{
				"proc/self/cgroup":     "0::/a\n",
				"proc/self/mountinfo":  `30 25 0:26 / /my\040cgroups rw - cgroup2 cgroup rw` + "\n",
				"my cgroups/a/cpu.max": "100000 100000\n", "my cgroups/a/cpu.stat": stat2,
			},
			want: Reading{2500 * time.Millisecond, 1, SourceCgroup2},
		},
		{
			name: "v2, usage missing",
			files: map[string]string{
				"proc/self/cgroup":       "0::/\n",
				"proc/self/mountinfo":    mountV2,
				"sys/fs/cgroup/cpu.max":  "150000 100000\n",
				"sys/fs/cgroup/cpu.stat": "nr_periods 5\n",
			},
		},
		{
			name: "v1 beside an empty v2",
			files: map[string]string{
				"proc/self/cgroup":                       "3:cpuacct:/app\n2:cpu:/app\n0::/\n",
				"proc/self/mountinfo":                    mountRoot + mountV1,
				"sys/fs/cgroup/cpu/app/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/app/cpu.cfs_period_us": "100000\n",
				"sys/fs/cgroup/cpuacct/app/cpuacct.usage": "1500000000\n",
				"sys/fs/cgroup/cpu/cpu.cfs_quota_us":      "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
				"sys/fs/cgroup/cpuacct/cpuacct.usage": "9500000000\n",
			},
			want: Reading{1500 * time.Millisecond, 2.5, SourceCgroup1},
		},
		{
			name: "v1 with both controllers in one mount",
			files: map[string]string{
				"proc/self/cgroup":    "4:cpu,cpuacct:/\n",
				"proc/self/mountinfo": "32 31 0:29 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n",
				"cg/cpu.cfs_quota_us": "50000", "cg/cpu.cfs_period_us": "100000", "cg/cpuacct.usage": "7",
			},
			want: Reading{7, 0.5, SourceCgroup1},
		},
		{
			name: "v1 without a quota",
			files: map[string]string{
				"proc/self/cgroup":    "4:cpu,cpuacct:/\n",
				"proc/self/mountinfo": "32 31 0:29 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n",
				"cg/cpu.cfs_quota_us": "-1", "cg/cpu.cfs_period_us": "100000", "cg/cpuacct.usage": "7",
			},
		},
		{
			name:  "no control groups",
			files: map[string]string{"proc/self/cgroup": "", "proc/self/mountinfo": mountRoot},
		},
		{name: "no /proc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := cgroup(files(tc.files))
			if want := tc.want.Source != ""; ok != want {
				t.Fatalf("got %+v, %v; want %v", got, ok, want)
			}
			if diff := cmp.Diff(tc.want, got); ok && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	const rest = "cpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 12345\nctxt 1\n"
	for _, tc := range []struct {
		name, text string
		used       time.Duration // 0 is an error
	}{
		{"all fields", "cpu  100 10 50 1000 20 3 7 30 40 5\n" + rest, 2 * time.Second},
		{"an old kernel's", "cpu  100 10 50 1000\n" + rest, 1600 * time.Millisecond},
		{"no CPUs", "cpu  100 10 50 1000\n", 0},
		{"no sum", rest, 0},
		{"too short", "cpu 1 2 3\n" + rest, 0},
		{"negative", "cpu  100 -10 50 1000\n" + rest, 0},
		{"too large", "cpu  9223372036854775807 10 50 1000\n" + rest, 0},
		{"too large together", "cpu  900000000000 900000000000 50 1000\n" + rest, 0},
		{"empty", "", 0},
	} {
		got, err := parseStat(tc.text)
		if (err == nil) != (tc.used > 0) || err == nil && got != (Reading{tc.used, 2, SourceMachine}) {
			t.Errorf("%s: got %+v, %v; want %v of 2 cores", tc.name, got, err, tc.used)
		}
	}
}

func TestOwn(t *testing.T) {
	a, err := Own()
	if err != nil {
		t.Skip(err)
	}
	b, err := Own()
	if err != nil || a.Cores <= 0 || b.Used < a.Used {
		t.Errorf("%+v, then %+v, %v", a, b, err)
	}
}

// sane are the properties of every reading, whatever was parsed.
func sane(t *testing.T, r Reading) {
	t.Helper()
	if !(r.Cores > 0) || math.IsInf(r.Cores, 0) || r.Used < 0 || r.Source == "" {
		t.Errorf("got %+v", r)
	}
}

// FuzzCgroup reads groups out of made-up files: a reading is sane, whatever they
// say, and no folder is made of a path that leaves what is mounted.
func FuzzCgroup(f *testing.F) {
	f.Add("0::/a/b\n", mountV2, "150000 100000\n", stat2)
	f.Add("3:cpuacct:/app\n2:cpu:/app\n0::/\n", mountV1, "250000", "1500000000\n")
	f.Add("0::/../../x\n1:cpu,cpuacct:/..\n", "30 25 0:26 /.. /. ro - cgroup2 cgroup rw\n", "1 9223372036854775807", "usage_usec -1\n")
	f.Add("0:a,,b:/\n", `1 1 0:1 / /\134040 rw - cgroup cgroup rw,,cpu`, "max", "usage_usec 99999999999999999999\n")
	f.Fuzz(func(t *testing.T, own, mounted, quota, usage string) {
		paths, mounts := parseCgroups(own), parseMounts(mounted)
		all := map[string]string{"proc/self/cgroup": own, "proc/self/mountinfo": mounted}
		for _, controller := range []string{"", "cpu", "cpuacct"} {
			for _, dir := range dirs(paths, mounts, controller) {
				for name, text := range map[string]string{
					"cpu.max": quota, "cpu.stat": usage, "cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000", "cpuacct.usage": usage,
				} {
					all[dir+"/"+name] = text
				}
			}
		}
		if r, ok := cgroup(files(all)); ok {
			sane(t, r)
		}
		for _, m := range mounts {
			for _, dir := range dirs(paths, []mount{m}, m.controllers[0]) {
				if point := path.Join(m.point, "/"); !strings.HasPrefix(dir+"/", strings.TrimSuffix(point, "/")+"/") {
					t.Errorf("%q is not below the mount %q", dir, m.point)
				}
			}
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add("cpu  100 10 50 1000 20 3 7 30 40 5\ncpu0 1 2 3 4\n")
	f.Add("cpu 1 2 3 4\ncpu0\ncpu\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseStat(text); err == nil {
			sane(t, r)
		}
	})
}
