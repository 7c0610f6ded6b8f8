// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery/static"
	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/registries"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// childVariable makes this test binary a child of the shop.
const childVariable = "SHOP_TEST_CHILD"

// child runs the service that the environment names.
func child() int {
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runChild() (err error) {
	cfg := app.Config{Dir: os.Getenv("SHOP_TEST_DIR"), Log: os.Stdout}
	if kind := os.Getenv("SHOP_TEST_REGISTRY"); kind != "" {
		registry, err := registries.Open(context.Background(), kind, os.Stderr)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, registry.Close()) }()
		cfg.Registry = registry.Catalog
	} else if cfg.Registry, err = static.Parse(app.DefaultNamespace, os.Getenv("SHOP_TEST_PEERS")); err != nil {
		return err
	}
	return app.RunChild(context.Background(), cfg, os.Getenv(childVariable), os.Stdin, os.Stdout)
}

// children remembers the commands of a shop's processes.
type children map[string]*exec.Cmd

func (c children) command(t *testing.T, dir string, env ...string) app.Command {
	return func(service, peers string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+service, "SHOP_TEST_PEERS="+peers, "SHOP_TEST_DIR="+dir)
		cmd.Env = append(cmd.Env, env...)
		cmd.Stderr = t.Output()
		c[service] = cmd
		return cmd
	}
}

// buffer is a log that several processes may write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func TestProcesses(t *testing.T) {
	var log buffer
	started := children{}
	shop, err := app.StartProcesses(t.Context(), app.Config{Log: &log}, started.command(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	got := visit(t, shop, 200)
	if got.Outcomes[load.OK] == 0 || got.Outcomes[load.LostIdentity]+got.Outcomes[load.NoAnswer] > 0 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
	trace, err := shop.Traces().Trace(t.Context(), got.Failed.TraceID)
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{app.Gateway, app.Order, app.Inventory} {
		if !strings.Contains(trace.Render(), service+"  shop.") && !strings.Contains(trace.Render(), service+"  POST") {
			t.Errorf("the failed request was not seen in %s:\n%s", service, trace.Render())
		}
	}
	if text := trace.Render(); strings.Contains(text, "is not here") {
		t.Errorf("a span or a line is not connected:\n%s", text)
	}
	if _, err := shop.Traces().Trace(t.Context(), strings.Repeat("f", 32)); !errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("a made-up trace: %v, want ErrUnknownTrace", err)
	}
	stop(t, shop)
	for service, cmd := range started {
		if cmd.ProcessState == nil || !cmd.ProcessState.Success() {
			t.Errorf("%s ended with %v", service, cmd.ProcessState)
		}
		if !strings.Contains(log.text.String(), `"service.name":"`+service+`"`) {
			t.Errorf("no log line of %s", service)
		}
	}
}

func TestProcessThatDies(t *testing.T) {
	started := children{}
	shop, err := app.StartProcesses(t.Context(), app.Config{}, started.command(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := started[app.Inventory].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-shop.Ended():
		if err == nil || !strings.Contains(err.Error(), "inventory-1 ended") {
			t.Errorf("Ended = %v, want one that names the inventory", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody noticed that a process died")
	}
	if err := shop.Stop(t.Context()); err == nil {
		t.Error("Stop did not mention the process that died")
	}
	for service, cmd := range started {
		if cmd.ProcessState == nil {
			t.Errorf("%s is still running", service)
		}
	}
}

func TestProcessThatDoesNotStart(t *testing.T) {
	for name, cmd := range map[string]*exec.Cmd{
		"no such program":    exec.Command(t.TempDir() + "/shop"),
		"ends at once":       exec.Command("true"),
		"says something odd": exec.Command("sh", "-c", "echo ready or not; cat"),
	} {
		shop, err := app.StartProcesses(t.Context(), app.Config{}, func(string, string) *exec.Cmd { return cmd })
		if err == nil {
			t.Errorf("%s: started", name)
			stop(t, shop)
		} else if !strings.Contains(err.Error(), "start notify-1") {
			t.Errorf("%s: %v, want the service's name in it", name, err)
		}
	}
}
