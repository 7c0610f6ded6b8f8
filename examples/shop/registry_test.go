// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/internal/servers"
)

// TestRegistries looks at what a person sees of each registry, and of instances that are
// replaced while it is away for a while.
func TestRegistries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes real time")
	}
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"memory": {
			[]string{"-scale", "inventory=2,order=2", "-churn", "400ms", "-outage", "200ms"},
			[]string{`memory, in this process`, `[1-9]\d* added, [1-9]\d* ended, 0 killed; \d+ requests`},
		},
		"consul": {
			[]string{"-outage", "500ms"},
			[]string{`consul at 127\.0\.0\.1:\d+, started for this run`},
		},
		"etcd": {
			[]string{"-processes", "-scale", "inventory=2,payment=2", "-churn", "400ms", "-outage", "200ms"},
			[]string{`etcd at http://127\.0\.0\.1:\d+, started for this run`, `[1-9]\d* added, [1-9]\d* ended, [1-9]\d* killed; \d+ requests`, `payment-\d+ is killed`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "memory" {
				servers.Need(t, name)
			}
			t.Parallel()
			cmd, tmp := command(t, append([]string{"-registry", name, "-requests", "100", "-rate", "40"}, tc.args...)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := append(tc.want, `environment shop-[a-z0-9]{8}`, `who was found, in the registry: `+name, `order-\d+ +127\.0\.0\.1:\d+`,
				`the registry is away, and what was known goes on: \S+`, `the registry is back`,
				`orders confirmed for \d+\.\d\d, each reserved and charged once`, `the shop is closed`)
			for _, w := range want {
				if !regexp.MustCompile(w).Match(out) {
					t.Errorf("no %s in the output", w)
				}
			}
			if regexp.MustCompile(`WRONG|no answer`).Match(out) {
				t.Error("something is wrong")
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
			if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestServerEndsWithTheShop kills a shop that has started a registry.
func TestServerEndsWithTheShop(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system has no such thing")
	}
	servers.Need(t, "etcd")
	cmd, _ := command(t, "-registry", "etcd", "-requests", "0", "-rate", "20")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(readUntil(t, lines, "registry  etcd at "))
	readUntil(t, lines, "requests, ")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return // nobody listens there any more
		}
		if err == nil {
			_ = conn.Close()
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Errorf("the registry at %s outlived the shop that started it", address)
}
