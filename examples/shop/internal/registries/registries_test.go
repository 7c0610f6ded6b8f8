// SPDX-License-Identifier: Apache-2.0

package registries_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/examples/shop/internal/registries"
	"github.com/fairlead-go/fairlead/internal/servers"
)

func TestCheck(t *testing.T) {
	for _, kind := range []string{registries.Memory, registries.Consul, registries.Etcd} {
		if err := registries.Check(kind); err != nil {
			t.Error(err)
		}
	}
	const want = `"zookeeper": must be one of memory, consul, etcd`
	if err := registries.Check("zookeeper"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Check = %v, want %s", err, want)
	}
	if _, err := registries.Open(t.Context(), "zookeeper", t.Output()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %s", err, want)
	}
}

// clearEnv makes the environment name no registry.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"CONSUL_HTTP_ADDR", "ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS"} {
		t.Setenv(name, "")
	}
	t.Setenv("TMPDIR", t.TempDir())
}

// use registers an instance and finds it.
func use(t *testing.T, catalog discovery.Catalog) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := discovery.NewRegistrar(catalog.(discovery.Registry), "shop", discovery.Instance{Service: "order", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(ctx); err != nil {
		t.Error(err)
	}
	if err := r.Deregister(ctx); err != nil {
		t.Error(err)
	}
}

// TestServers starts each server, uses it from here and through what another process
// would be told, takes it away for a moment, and looks what is left of it.
func TestServers(t *testing.T) {
	for kind, variable := range map[string]string{registries.Consul: "CONSUL_HTTP_ADDR", registries.Etcd: "ETCD_ENDPOINTS"} {
		t.Run(kind, func(t *testing.T) {
			servers.Need(t, kind)
			clearEnv(t)
			ours, err := registries.Open(t.Context(), kind, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(ours.Where, kind+" at ") || !strings.Contains(ours.Where, "started for this run") {
				t.Errorf("it is %q", ours.Where)
			}
			use(t, ours.Catalog)
			if len(ours.Env) != 1 || !strings.HasPrefix(ours.Env[0], variable+"=") {
				t.Fatalf("another process is told %v, want %s", ours.Env, variable)
			}
			t.Setenv(variable, strings.TrimPrefix(ours.Env[0], variable+"="))
			theirs, err := registries.Open(t.Context(), kind, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			use(t, theirs.Catalog)
			if err := theirs.Outage(t.Context(), time.Millisecond); !errors.Is(err, registries.ErrNotOurs) {
				t.Errorf("Outage of somebody else's registry: %v", err)
			}
			if err := ours.Outage(t.Context(), time.Millisecond); err != nil {
				t.Errorf("Outage: %v", err)
			}
			use(t, theirs.Catalog)
			if err := errors.Join(theirs.Close(), ours.Close()); err != nil {
				t.Error(err)
			}
			if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestServersThatDoNotStart(t *testing.T) {
	no, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	for name, tc := range map[string]struct{ kind, bin, want string }{
		"no consul":    {registries.Consul, "/no/such/consul", "CONSUL_HTTP_ADDR is not set, and there is no agent to start"},
		"no etcd":      {registries.Etcd, "/no/such/etcd", "ETCD_ENDPOINTS is not set, and there is no etcd to start"},
		"bad consul":   {registries.Consul, no, "start consul: it ended at once"},
		"bad etcd":     {registries.Etcd, no, "start etcd: it ended at once"},
		"says why not": {registries.Etcd, script(t, "echo the disk is full; exit 1"), "it said: the disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			t.Setenv(strings.ToUpper(tc.kind)+"_BIN", tc.bin)
			r, err := registries.Open(t.Context(), tc.kind, t.Output())
			if err == nil {
				_ = r.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open: %v, want %s", err, tc.want)
			}
			if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// script returns the path of a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadSettings(t *testing.T) {
	clearEnv(t)
	t.Setenv("CONSUL_HTTP_ADDR", "http://[::1")
	t.Setenv("ETCD_ENDPOINTS", "ftp://127.0.0.1:1")
	for _, kind := range []string{registries.Consul, registries.Etcd} {
		if r, err := registries.Open(t.Context(), kind, t.Output()); err == nil {
			_ = r.Close()
			t.Errorf("%s was opened where it cannot be", kind)
		}
	}
}

func TestMemoryOutage(t *testing.T) {
	r, err := registries.Open(t.Context(), registries.Memory, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Outage(ctx, time.Hour); err != nil {
		t.Error(err)
	}
	use(t, r.Catalog)
}

// TestWhatToDo: on a machine without Consul, the error says how to get it.
func TestWhatToDo(t *testing.T) {
	clearEnv(t)
	t.Setenv("CONSUL_BIN", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	r, err := registries.Open(t.Context(), registries.Consul, t.Output())
	if err == nil {
		_ = r.Close()
		t.Fatal("an agent was found where there is none")
	}
	for _, want := range []string{"CONSUL_HTTP_ADDR is not set", `run "make consul"`, "CONSUL_BIN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want %s in it", err, want)
		}
	}
}
