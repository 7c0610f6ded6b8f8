// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestRunOnce: a service is run once, and not after it was closed; it is closed when
// it is not run.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	opts := []fairlead.Option{fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(),
		fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithRegistry(memory.New()), fairlead.WithDrainWait(0)}
	wantErr := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	svc := mustNew(t, "order", opts...)
	addr := svc.Addr("http")
	stop := registered(t, svc)
	wantErr("Run beside Run", svc.Run(t.Context()), "Run: the service was run or closed before")
	wantErr("Close beside Run", svc.Close(), "Close: the service runs: end the context of Run")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get(t, client, "http://"+addr+"/livez", http.StatusOK)
	if err := stop(); err != nil {
		t.Error(err)
	}
	wantErr("Run after Run", svc.Run(t.Context()), "Run: the service was run or closed before")
	wantErr("Registered after Run", svc.Registered(t.Context()), "the service has ended")
	if err := errors.Join(svc.Close(), svc.Close()); err != nil {
		t.Error(err)
	}
	if got := svc.Addr("http"); got != addr {
		t.Errorf("its address became %q", got)
	}
	_, err := svc.Dial("inventory")
	wantErr("Dial", err, "the service has ended")
	_, err = svc.ExternalHTTPClient("inventory")
	wantErr("ExternalHTTPClient", err, "the service has ended")
	if _, err = svc.HTTPClient("inventory"); err == nil {
		t.Error("HTTPClient: no error")
	}

	closed := mustNew(t, "order", opts...)
	addr = closed.Addr("grpc")
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("it listens after Close")
	}
	wantErr("Run after Close", closed.Run(t.Context()), "Run: the service was run or closed before")
	wantErr("Registered after Close", closed.Registered(t.Context()), "the service has ended")
}

// TestCloseAtAnyTime: whoever calls what while a service begins and ends, it begins
// and ends. It is for the race detector.
func TestCloseAtAnyTime(t *testing.T) {
	t.Parallel()
	registry := memory.New()
	for i := range 20 {
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"),
			fairlead.WithRegistry(registry), fairlead.WithDrainWait(0), fairlead.WithRegistration(discovery.WithLeaveTime(0)))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := svc.Run(ctx); err != nil && !strings.Contains(err.Error(), "run or closed before") {
				t.Error(err)
			}
		})
		wg.Go(func() { _ = svc.Close(); _ = svc.Addr("http"); _ = svc.Settings() })
		wg.Go(func() { _ = svc.Registered(ctx); _, _ = svc.Dial("inventory") })
		wg.Go(func() { _, _ = svc.HTTPClient("inventory"); _, _ = svc.MetricsRegistry().Gather() })
		time.Sleep(time.Duration(i) * 200 * time.Microsecond)
		cancel()
		wg.Wait()
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := len(registry.Instances(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"})); n != 0 {
		t.Errorf("%d left in the registry", n)
	}
}

// TestEndedBeforeTheBeginning: a service that was asked to end before it began, ends.
func TestEndedBeforeTheBeginning(t *testing.T) {
	t.Parallel()
	for range 5 {
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"),
			fairlead.WithRegistry(memory.New()), fairlead.WithDrainWait(0))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := svc.Run(ctx); err != nil {
			t.Error(err)
		}
		if conn, err := net.Dial("tcp", svc.Addr("http")); err == nil {
			_ = conn.Close()
			t.Error("it still listens")
		}
	}
}

// TestEndWithoutServers: what nobody calls does not wait until callers have noticed.
func TestEndWithoutServers(t *testing.T) {
	t.Parallel()
	svc := mustNew(t, "worker", discard, fairlead.WithoutSignals(), fairlead.WithRegistry(memory.New()))
	stop := registered(t, svc)
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > fairlead.DefaultDrainWait {
		t.Errorf("the end took %v", took)
	}
}

// TestServerFails: when one server of a service fails, the others drain, and Run says
// what failed.
func TestServerFails(t *testing.T) {
	t.Parallel()
	registry := memory.New()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(),
		fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithDrainWait(100*time.Millisecond))
	in := make(chan struct{})
	svc.HTTP().HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		close(in)
		for len(registry.Instances(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"})) > 0 {
			time.Sleep(time.Millisecond)
		}
		_, _ = io.WriteString(w, "done")
	})
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(t.Context()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer := make(chan string, 1)
	go func() { answer <- get(t, client, "http://"+svc.Addr("http")+"/slow", http.StatusOK) }()
	<-in
	fairlead.BreakListener(svc, "grpc")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "fairlead: grpc: ") {
		t.Errorf("Run returned %v", err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("the request under way on the other server was answered %q", got)
	}
}

// TestPanicWhileItEnds: a handler that panics while the service ends is answered, and
// ends nothing but itself.
func TestPanicWhileItEnds(t *testing.T) {
	t.Parallel()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"))
	in := make(chan struct{}, 2)
	end := make(chan struct{})
	svc.HTTP().HandleFunc("GET /", func(http.ResponseWriter, *http.Request) { in <- struct{}{}; <-end; panic("no") })
	testgrpc.RegisterTestServiceServer(svc.GRPC(), &panics{in: in, end: end})
	stop := run(t, svc)
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""))
	defer caller.Close()
	cc, err := caller.Dial("passthrough:///" + svc.Addr("grpc"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + svc.Addr("http") + "/"
	var calls sync.WaitGroup
	calls.Go(func() { get(t, client, url, http.StatusInternalServerError) })
	calls.Go(func() {
		_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		if err == nil || !strings.Contains(err.Error(), "code = Internal") {
			t.Errorf("a call whose handler panics: %v", err)
		}
	})
	<-in
	<-in
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for svc.Health().Check(t.Context()) == nil {
		time.Sleep(time.Millisecond)
	}
	close(end)
	calls.Wait()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	for _, protocol := range []string{"http", "grpc"} {
		if got := gathered(t, svc, "fairlead_drain_requests_total", protocol); got != "drained 1" && got != "" { // it may be quicker than the drain
			t.Errorf("%s: %s", protocol, got)
		}
	}
}

type panics struct {
	testgrpc.UnimplementedTestServiceServer
	in, end chan struct{}
}

func (p *panics) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	p.in <- struct{}{}
	<-p.end
	panic("no")
}

// signaled makes the test binary a service that waits for signals.
const signaled = "FAIRLEAD_TEST_SIGNALED"

// serveUntilSignaled is what such a process does.
func serveUntilSignaled() {
	svc, err := fairlead.New("order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithDrainWait(200*time.Millisecond),
		fairlead.WithRegistry(memory.New()))
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	in := make(chan struct{})
	svc.HTTP().HandleFunc("GET /forever", func(_ http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	})
	go func() {
		_ = svc.Registered(context.Background())
		if os.Getenv(signaled) == "busy" {
			go func() {
				resp, err := http.Get("http://" + svc.Addr("http") + "/forever")
				if err == nil {
					_ = resp.Body.Close()
				}
			}()
			<-in
		}
		fmt.Println("serving")
		for !svc.Health().Stopping() {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("ending")
	}()
	if err := svc.Run(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestSignaled: the first signal ends a process in order, as early as it comes while
// Run is called; the second one ends it as the system does.
func TestSignaled(t *testing.T) {
	t.Parallel()
	start := func(kind string) (*exec.Cmd, *bufio.Reader) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), signaled+"="+kind)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, bufio.NewReader(out)
	}
	wait := func(out *bufio.Reader, want string) {
		t.Helper()
		if line, err := out.ReadString('\n'); err != nil || line != want+"\n" {
			t.Fatalf("the process says %q (%v), want %q", line, err, want)
		}
	}
	kill := func(cmd *exec.Cmd, s syscall.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			cmd, out := start("idle")
			wait(out, "serving")
			kill(cmd, s)
			wait(out, "ending")
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		cmd, out := start("busy")
		wait(out, "serving")
		kill(cmd, syscall.SIGTERM)
		wait(out, "ending")
		began := time.Now()
		kill(cmd, syscall.SIGTERM)
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("it ended with %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
