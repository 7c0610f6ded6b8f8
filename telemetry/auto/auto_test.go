// SPDX-License-Identifier: Apache-2.0

package auto_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/fairlead-go/fairlead/telemetry/auto"
	"github.com/fairlead-go/fairlead/telemetry/internal/otlptest"
)

// child is the argument by which this test binary becomes the program under
// test. Only then does it find the environment that a test gave it when it starts.
const child = "child"

// TestProgram is a program that knows nothing but the import.
func TestProgram(t *testing.T) {
	if !slices.Contains(flag.Args(), child) {
		t.Skip("runs in a process of its own")
	}
	ctx, span := otel.Tracer("program").Start(t.Context(), "work")
	slog.InfoContext(ctx, "working", "sku", "s-1")
	log.Print("from package log")
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	span.End()
	err := auto.Shutdown(context.Background())
	fmt.Printf("recording=%v headers=%d err=%v shutdown=%v again=%v\n", span.SpanContext().IsValid(), len(carrier),
		auto.Err() != nil, err, auto.Shutdown(context.Background()))
}

// run starts the program and returns what it printed and its log lines.
func run(t *testing.T, env ...string) (string, []map[string]any) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestProgram$", child)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "OTEL_") }), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the program failed: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	var lines []map[string]any
	for line := range strings.Lines(stderr.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("standard error has a line that is no JSON: %s", line)
		}
		lines = append(lines, m)
	}
	return stdout.String(), lines
}

func find(lines []map[string]any, msg string) map[string]any {
	for _, m := range lines {
		if strings.HasPrefix(fmt.Sprint(m["msg"]), msg) {
			return m
		}
	}
	return nil
}

func TestTheImportIsEnough(t *testing.T) {
	collector := otlptest.NewHTTP(t)
	out, lines := run(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL(), "OTEL_SERVICE_NAME=program", "OTEL_PROPAGATORS=tracecontext,b3")
	if !strings.Contains(out, "recording=true headers=2 err=false shutdown=<nil> again=<nil>") {
		t.Errorf("the program printed %s", out)
	}
	spans := collector.Spans()
	if len(spans) != 1 || spans[0].GetName() != "work" || collector.Resource()["service.name"] != "program" {
		t.Fatalf("spans %v of %v", spans, collector.Resource())
	}
	traceID := hex.EncodeToString(spans[0].GetTraceId())
	if got := find(lines, "working"); got["trace_id"] != traceID || got["sku"] != "s-1" {
		t.Errorf("written line %v, want trace id %s", got, traceID)
	}
	if find(lines, "from package log") == nil {
		t.Errorf("lines %v, want that of package log, too", lines)
	}
	var bodies []string
	for _, r := range collector.Logs() {
		bodies = append(bodies, r.GetBody().GetStringValue())
	}
	if !slices.Contains(bodies, "working") || !slices.Contains(bodies, "from package log") {
		t.Errorf("exported log records %q", bodies)
	}
	if collector.Metrics()["go_goroutines"] == nil {
		t.Error("the metrics of the default registry were not exported")
	}
}

func TestAFailureLeavesTheProgramRunningAndSaysSo(t *testing.T) {
	out, lines := run(t, "OTEL_TRACES_SAMPLER=sometimes")
	if !strings.Contains(out, "recording=false headers=0 err=true shutdown=<nil> again=<nil>") {
		t.Errorf("the program printed %s", out)
	}
	if got := find(lines, "telemetry/auto: telemetry is off"); got["level"] != "ERROR" || !strings.Contains(fmt.Sprint(got["error"]), `OTEL_TRACES_SAMPLER is "sometimes"`) {
		t.Errorf("lines %v, want an error that names the variable", lines)
	}
	if find(lines, "working") == nil {
		t.Errorf("lines %v, want the program's own", lines)
	}
}

func TestDisabledIsNoFailure(t *testing.T) {
	out, lines := run(t, "OTEL_SDK_DISABLED=true")
	if !strings.Contains(out, "recording=false headers=0 err=false shutdown=<nil>") {
		t.Errorf("the program printed %s", out)
	}
	if len(lines) != 2 || find(lines, "working") == nil {
		t.Errorf("lines %v, want the program's two", lines)
	}
}

func TestACollectorThatIsAwayIsSaidAndWaitedForBriefly(t *testing.T) {
	out, lines := run(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT=200")
	if !strings.Contains(out, "recording=true") || !strings.Contains(out, "telemetry: shut down traces") {
		t.Errorf("the program printed %s", out)
	}
	if find(lines, "telemetry: traces cannot be exported") == nil {
		t.Errorf("lines %v, want one about the collector", lines)
	}
}
