// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/examples/quickstart/greeterpb"
)

// TestReadmeHasThisProgram: what the README shows is what is tested here.
func TestReadmeHasThisProgram(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "func main() {")
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		readme, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "func main() {"+program) {
			t.Errorf("%s does not show the main function of examples/quickstart", name)
		}
	}
	if lines := strings.Count(program, "\n"); lines > 20 {
		t.Errorf("the program has %d lines, want at most 20", lines)
	}
}

// TestRun builds the program with ports that the system picks, and talks to it.
func TestRun(t *testing.T) {
	addrs, lines := start(t)
	resp, err := http.Get("http://" + addrs["http"] + "/greet/ada")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != "hello, ada\n" {
		t.Errorf("body %q, %v", body, err)
	}
	traceID := resp.Header.Get("X-Trace-Id")

	cc, err := grpc.NewClient(addrs["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	var header metadata.MD
	reply, err := greeterpb.NewGreeterClient(cc).Greet(t.Context(), &greeterpb.GreetRequest{Name: "bob"}, grpc.Header(&header))
	if err != nil || reply.GetText() != "hello, bob" {
		t.Errorf("reply %v, %v", reply, err)
	}
	if got := header.Get("x-trace-id"); len(got) != 1 || len(got[0]) != 32 {
		t.Errorf("x-trace-id %v, want a trace id", got)
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/healthz"} {
		resp, err := http.Get("http://" + addrs["admin"] + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	found := map[string]bool{}
	deadline := time.After(10 * time.Second)
	for !found["greeting"] || !found["http server request"] {
		select {
		case m := <-lines:
			if m["trace_id"] == traceID && m["span_id"] != nil {
				found[m["msg"].(string)] = true
			}
		case <-deadline:
			t.Fatalf("lines of trace %s: found %v", traceID, found)
		}
	}
}

// start runs the program until the test ends, which it has to survive: it must
// stop cleanly on SIGTERM. It returns where it listens, and its log lines.
func start(t *testing.T) (map[string]string, <-chan map[string]any) {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	changed := string(source)
	for _, port := range []string{"8080", "8081", "9090"} {
		changed = strings.ReplaceAll(changed, "127.0.0.1:"+port, "127.0.0.1:0")
	}
	here, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, "main.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{here: there}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, there, changed)
	write(t, filepath.Join(dir, "overlay.json"), string(overlay))
	binary := filepath.Join(dir, "quickstart")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, read := make(chan map[string]any, 1000), make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			var m map[string]any
			if json.Unmarshal(s.Bytes(), &m) == nil {
				lines <- m
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v, want a clean end", err)
		}
	})
	addrs := map[string]string{}
	for deadline := time.After(10 * time.Second); len(addrs) < 3; {
		select {
		case m := <-lines:
			if m["msg"] == "serving" {
				addrs[m["protocol"].(string)] = m["addr"].(string)
			}
		case <-deadline:
			t.Fatalf("serving only %v", addrs)
		}
	}
	return addrs, lines
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
