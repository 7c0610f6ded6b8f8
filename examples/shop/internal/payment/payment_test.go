// SPDX-License-Identifier: Apache-2.0

package payment_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// outbox remembers what was published.
type outbox struct {
	mu       sync.Mutex
	messages []any
	err      error
}

func (o *outbox) Publish(_ context.Context, topic string, message any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && topic == payment.TopicReceipts {
		o.messages = append(o.messages, message)
	}
	return o.err
}

func serve(t *testing.T, box *outbox, fault chaos.Fault) *payment.Client {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "payment.db"), payment.Schema)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /charges", payment.NewHandler(payment.NewLedger(db), box, fault, slog.New(slog.DiscardHandler)))
	srv := httptest.NewServer(mux)
	t.Cleanup(func() { srv.Close(); _ = db.Close() })
	return payment.NewClient(srv.Client(), srv.URL)
}

func charge(order, card string) payment.Charge {
	return payment.Charge{OrderID: order, Customer: "ada", AmountCents: 1800, Card: card}
}

func TestChargeOnce(t *testing.T) {
	var box outbox
	client := serve(t, &box, chaos.Fault{})
	first, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
	if err != nil {
		t.Fatal(err)
	}
	want := payment.Receipt{ID: first.ID, OrderID: "o1", Customer: "ada", AmountCents: 1800}
	if diff := cmp.Diff(want, first); diff != "" || first.ID == "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	again, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
	if err != nil || again != first {
		t.Errorf("second charge = %v, %v; want the first receipt %v", again, err, first)
	}
	if diff := cmp.Diff([]any{first}, box.messages); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestChargeFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  chaos.Fault
		charge payment.Charge
		want   error
		text   string
	}{
		{name: "declined", charge: charge("o1", payment.CardDeclined), want: payment.ErrDeclined},
		{name: "down", fault: chaos.Fault{FailRate: 1}, charge: charge("o1", payment.CardOK), want: payment.ErrUnavailable},
		{name: "no order", charge: charge("", payment.CardOK), text: "order_id must be set"},
		{name: "no card", charge: charge("o1", ""), text: "card must be set"},
		{name: "no money", charge: payment.Charge{OrderID: "o1", Card: "x"}, text: "amount_cents must be positive"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var box outbox
			_, err := serve(t, &box, tc.fault).Charge(t.Context(), tc.charge)
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Charge = %v, want %v %s", err, tc.want, tc.text)
			}
			if len(box.messages) != 0 {
				t.Errorf("published %v for a charge that failed", box.messages)
			}
		})
	}
}

func TestNoService(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	client := payment.NewClient(srv.Client(), srv.URL)
	srv.Close()
	if _, err := client.Charge(t.Context(), charge("o1", payment.CardOK)); !errors.Is(err, payment.ErrUnavailable) {
		t.Errorf("Charge = %v, want ErrUnavailable", err)
	}
}

func TestSlowBankMeetsDeadline(t *testing.T) {
	client := serve(t, &outbox{}, chaos.Fault{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := client.Charge(ctx, charge("o1", payment.CardSlow))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Charge = %v, want DeadlineExceeded", err)
	}
}

func TestSlowBankGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h := payment.NewHandler(nil, nil, chaos.Fault{}, slog.New(slog.DiscardHandler))
		w, start := httptest.NewRecorder(), time.Now()
		body := strings.NewReader(`{"order_id":"o1","amount_cents":1,"card":"tok_slow"}`)
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/charges", body))
		if w.Code != http.StatusGatewayTimeout {
			t.Errorf("status %d, want 504", w.Code)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("gave up after %v, want 1s", took)
		}
	})
}

func TestLostReceiptKeepsCharge(t *testing.T) {
	box := outbox{err: errors.New("queue is full")}
	if _, err := serve(t, &box, chaos.Fault{}).Charge(t.Context(), charge("o1", payment.CardOK)); err != nil {
		t.Errorf("Charge = %v, want it to stand", err)
	}
}

func TestBodyThatIsNoCharge(t *testing.T) {
	h := payment.NewHandler(nil, nil, chaos.Fault{}, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/charges", strings.NewReader("{")))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d, want 400", w.Code)
	}
}

func TestAnswerLostAfterCharge(t *testing.T) {
	var box outbox
	client := serve(t, &box, chaos.Fault{LoseRate: 1})
	for range 2 {
		if _, err := client.Charge(t.Context(), charge("o1", payment.CardOK)); !errors.Is(err, payment.ErrUnavailable) {
			t.Errorf("Charge = %v, want ErrUnavailable", err)
		}
	}
	if len(box.messages) != 1 {
		t.Errorf("%d receipts, want that of one charge", len(box.messages))
	}
}

func TestRetryAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{20 * time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		synctest.Test(t, func(t *testing.T) {
			fault := chaos.Fault{Away: chaos.Away{For: d, Fraction: 1}}
			h := payment.NewHandler(nil, nil, fault, slog.New(slog.DiscardHandler))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/charges", strings.NewReader(`{"order_id":"o1","amount_cents":1,"card":"x"}`)))
			if got := w.Header().Get("Retry-After"); w.Code != http.StatusServiceUnavailable || got != want {
				t.Errorf("%v: status %d, Retry-After %q; want 503, %q", d, w.Code, got, want)
			}
		})
	}
}
