// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/shoptest"
)

// mainVariable makes this test binary the shop itself.
const mainVariable = "SHOP_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command returns the shop as a command, with a folder of its own for what is temporary.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	tmp = t.TempDir()
	cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), mainVariable+"=1", "TMPDIR="+tmp)
	cmd.WaitDelay = 10 * time.Second
	return cmd, tmp
}

// modes are the two ways to run the services.
var modes = map[string][]string{"one process": nil, "processes": {"-processes"}}

func TestBoundedRun(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			logFile := filepath.Join(t.TempDir(), "shop.log")
			cmd, tmp := command(t, append(mode, "-requests", "150", "-rate", "0", "-concurrency", "8", "-log", logFile)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range []string{
				"the shop is open", "/metrics", "/readyz", "150 requests, 0 under way", "a slow request", "a failed request",
				"what the policies did", "order → payment", "gateway → inventory", "payment received ",
				"who was found, in the registry: ", "order-1 ", "each reserved and charged once",
				"└─ gateway  POST /orders", "inventory  shop.inventory.v1.InventoryService/Reserve", "the shop is closed",
			} {
				if !bytes.Contains(out, []byte(want)) {
					t.Errorf("no %q in the output", want)
				}
			}
			if bytes.Contains(out, []byte("is not here")) {
				t.Error("a span or a log line is not connected")
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
			if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			checkLog(t, logFile)
		})
	}
}

// TestPaymentDown looks at what a person sees of policies at work.
func TestPaymentDown(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			cmd, _ := command(t, append(mode, "-requests", "120", "-rate", "30", "-fail", "payment=down")...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			text := string(out)
			for _, want := range []string{
				`order → payment: breaker closed → open for \S+: failure ratio \S+ of \d+ calls  trace [0-9a-f]{32}`,
				`order → payment +\d+ .*open(ed \d+×)? +breaker \d+`,
				`payment received \d+ requests for \d+ charges: \d\.\d+ for each`,
				`a refused request\ntrace `,
				`• \S+ rejected  policy="breaker"  policy.name="(payment|order)"`,
			} {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("no %s in the output", want)
				}
			}
			if t.Failed() {
				t.Logf("%s", text)
			}
		})
	}
}

// checkLog checks that the log has whole lines of every service, all with a
// trace id but for those that belong to no request.
func checkLog(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var l struct {
			Message string `json:"msg"`
			TraceID string `json:"trace_id"`
			Service string `json:"service.name"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Errorf("no JSON: %v: %s", err, line)
		}
		services[l.Service]++
		if l.TraceID == "" && !slices.Contains(shoptest.Housekeeping(), l.Message) {
			t.Errorf("a line without an id: %s", line)
		}
	}
	for _, s := range []string{"gateway", "order", "inventory", "payment", "notify"} {
		if services[s] < 3 {
			t.Errorf("%d log lines of %s", services[s], s)
		}
	}
}

func TestCtrlC(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			cmd, _ := command(t, append(mode, "-requests", "0", "-rate", "100")...)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(stdout)
			readUntil(t, lines, "requests, ") // the first sign of progress
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(lines)
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("after Ctrl-C: %v, want exit status 0\n%s", err, rest)
			}
			for _, want := range []string{"requests, 0 under way", "a slow request", "the shop is closed"} {
				if !bytes.Contains(rest, []byte(want)) {
					t.Errorf("no %q after Ctrl-C in\n%s", want, rest)
				}
			}
		})
	}
}

// readUntil returns the first line that has want in it.
func readUntil(t *testing.T, lines *bufio.Reader, want string) string {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the output ended without %q: %v", want, err)
		}
		if strings.Contains(line, want) {
			return line
		}
	}
}

func TestTracesOnDemand(t *testing.T) {
	cmd, _ := command(t, "-requests", "60", "-rate", "0", "-stay")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	base := regexp.MustCompile(`http://\S+/traces/`).FindString(readUntil(t, lines, "/traces/"))
	readUntil(t, lines, "open until Ctrl-C")
	for path, want := range map[string]string{"slow": "gateway", "failed": "ERROR", "nonsense": "nothing is known"} {
		body := get(t, base+path)
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s%s has no %q:\n%s", base, path, want, body)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestProcessesEndWithTheirParent(t *testing.T) {
	cmd, _ := command(t, "-processes", "-requests", "0", "-rate", "20")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// All processes share this pipe: it ends when the last one has.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	readUntil(t, bufio.NewReader(stdout), "requests, ")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil {
		t.Errorf("some process outlived its parent: %v\n%s", err, text)
	}
}

func TestStartFails(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"port":            {[]string{"-gateway", "127.0.0.1:99999"}, "gateway-1: "},
		"port, processes": {[]string{"-gateway", "127.0.0.1:99999", "-processes"}, "gateway-1: "},
		"folder":          {[]string{"-data", os.Args[0]}, "not a directory"},
		"log":             {[]string{"-log", "/"}, "is a directory"},
		"flag":            {[]string{"-rate", "-1"}, "Rate is -1"},
		"unknown service": {[]string{"-service", "warehouse", "-namespace", "shop"}, `no service "warehouse"`},
		"peers":           {[]string{"-service", "order", "-namespace", "shop", "-peers", "{"}, "static: "},
		"registry":        {[]string{"-registry", "zookeeper"}, "must be one of memory, consul, etcd"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, _ := command(t, tc.args...)
			out, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit status 1", err)
			}
			if !strings.Contains(string(out), "shop: ") || !strings.Contains(string(out), tc.want) {
				t.Errorf("said %q, want %q in it", out, tc.want)
			}
		})
	}
}
