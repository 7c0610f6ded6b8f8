// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/internal/servers"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// server is a process of Consul.
type server struct {
	name    string
	address string
	token   string // of what tests ask themselves
	client  *http.Client
	args    []string
	log     string
	cmd     *exec.Cmd
	done    chan struct{}
}

// tuning keeps it to itself, and makes elections quick.
const tuning = "disable_update_check=true performance { raft_multiplier = 1 } limits { http_max_conns_per_client = 2000 }"

// quiet are the ports that no test needs.
var quiet = []string{"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1"}

// management is the token that may do everything, where tokens are looked at.
const management = "00000000-0000-0000-0000-00000000000a"

// devAgent starts an agent that keeps nothing when it is killed.
func devAgent(t testing.TB, extra ...string) *server {
	t.Helper()
	ports := freePorts(t, 3)
	s := newServer(t, "dev", ports[0], append([]string{
		"-dev", "-serf-wan-port=-1", port("-server-port", ports[1]), port("-serf-lan-port", ports[2]),
	}, extra...)...)
	s.token = management
	s.start(t)
	s.ready(t)
	return s
}

func newServer(t testing.TB, name string, http int, args ...string) *server {
	t.Helper()
	path := servers.Need(t, "consul")
	s := &server{
		name: name, address: fmt.Sprintf("127.0.0.1:%d", http), client: newHTTPClient(t), log: filepath.Join(t.TempDir(), name+".log"),
		args: append([]string{path, "agent", "-node=" + name, "-bind=127.0.0.1", "-client=127.0.0.1", "-hcl=" + tuning, port("-http-port", http)}, append(args, quiet...)...),
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			s.tail(t)
		}
	})
	return s
}

// newHTTPClient is for what tests ask an agent themselves.
func newHTTPClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func port(flag string, n int) string { return fmt.Sprintf("%s=%d", flag, n) }

// freePorts returns ports that nobody uses at the moment, below those that the system
// gives to connections: a server that is started again has to get its own.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for tries := 0; len(out) < n; tries++ {
		if tries > 1000 {
			t.Fatal("there are no free ports")
		}
		at := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		stream, err := net.Listen("tcp", at) //nolint:noctx // it does not wait
		if err != nil {
			continue
		}
		defer func() { _ = stream.Close() }()
		packets, err := net.ListenPacket("udp", at) //nolint:noctx // it does not wait
		if err != nil {
			continue
		}
		defer func() { _ = packets.Close() }()
		out = append(out, stream.Addr().(*net.TCPAddr).Port)
	}
	return out
}

func (s *server) start(t discoverytest.TB) {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(s.args[0], s.args[1:]...) //nolint:noctx // it is killed by kill
	servers.EndWithParent(s.cmd)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = []string{} // nothing of CONSUL_*
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // it is killed
		close(done)
	}(s.cmd, s.done)
}

// kill ends the process without asking it.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// stop makes the process stand still, and returns what lets it go on.
func (s *server) stop() (resume func()) {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
}

// ready waits until there is a leader, and its node is in the catalog.
func (s *server) ready(t discoverytest.TB) {
	t.Helper()
	waitFor(t, s.name+" is ready", 30*time.Second, func() bool {
		var leader string
		var nodes []json.RawMessage
		return s.get("/v1/status/leader", &leader) == nil && leader != "" && s.get("/v1/catalog/nodes", &nodes) == nil && len(nodes) > 0
	})
}

// get asks the agent something.
func (s *server) get(path string, out any) error {
	return s.do(http.MethodGet, path, "", out)
}

func (s *server) do(method, path, body string, out any) error {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Consul-Token", s.token)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d: %s", method, path, resp.StatusCode, text)
	}
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// tail shows the end of the log.
func (s *server) tail(t testing.TB) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	t.Logf("the last lines of %s:\n%s", s.name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
}

// waitFor looks until a condition holds.
func waitFor(t discoverytest.TB, what string, limit time.Duration, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(limit); !condition(); {
		if time.Now().After(until) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
