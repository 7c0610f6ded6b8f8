// SPDX-License-Identifier: Apache-2.0

package payment

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
)

// TopicReceipts is where the handler publishes a [Receipt] for each new charge.
const TopicReceipts = "receipts"

// maxBody bounds a request, and maxKey its idempotency key, in bytes.
const (
	maxBody = 16 << 10
	maxKey  = 255
)

// publishTimeout bounds handing over a receipt.
const publishTimeout = 5 * time.Second

// Publisher puts messages on a queue.
type Publisher interface {
	// Publish returns once the queue has taken over the message.
	Publish(ctx context.Context, topic string, message any) error
}

// Handler serves POST /charges. It is safe for concurrent use.
type Handler struct {
	ledger   *Ledger
	receipts Publisher
	trouble  *chaos.Trouble
	log      *slog.Logger
}

// NewHandler returns a handler that enters charges into ledger and publishes
// their receipts. Each charge suffers fault first, unless that is to lose the
// answer, which comes last.
func NewHandler(ledger *Ledger, receipts Publisher, fault chaos.Fault, log *slog.Logger) *Handler {
	return &Handler{ledger: ledger, receipts: receipts, trouble: chaos.Begin(fault), log: log}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c Charge
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&c); err != nil {
		problem.Write(w, r, http.StatusBadRequest, "", "the body is no charge in JSON")
		return
	}
	if err := c.valid(); err != nil {
		problem.Write(w, r, http.StatusBadRequest, "", err.Error())
		return
	}
	key := r.Header.Get(HeaderIdempotencyKey)
	if key == "" || len(key) > maxKey {
		problem.Write(w, r, http.StatusBadRequest, "", HeaderIdempotencyKey+" must be set, and not be long")
		return
	}
	ctx := r.Context()
	ctxutil.Add(ctx, slog.String("order_id", c.OrderID), slog.Int64("amount_cents", c.AmountCents))

	receipt, err := h.charge(ctx, key, c)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(receipt) // a peer that has gone away is seen by the server
	case errors.Is(err, ErrDeclined):
		problem.Write(w, r, http.StatusPaymentRequired, reason.PaymentDeclined, "the card was declined")
	case errors.Is(err, ErrKeyReused):
		problem.Write(w, r, http.StatusUnprocessableEntity, "", "the key was used for another charge")
	case errors.Is(err, ErrOrderCharged):
		problem.Write(w, r, http.StatusConflict, "", "the order was charged under another key")
	case ctx.Err() != nil:
		h.log.WarnContext(ctx, "charge abandoned", "cause", context.Cause(ctx))
		problem.Write(w, r, http.StatusGatewayTimeout, "", "the charge took too long")
	default:
		h.log.ErrorContext(ctx, "charge failed", "err", err)
		if away, ok := errors.AsType[*chaos.AwayError](err); ok {
			w.Header().Set("Retry-After", wholeSeconds(away.For))
		}
		problem.Write(w, r, http.StatusServiceUnavailable, "", "charges are unavailable")
	}
}

// charge asks the bank, writes the charge down, and sees to the receipt.
func (h *Handler) charge(ctx context.Context, key string, c Charge) (Receipt, error) {
	if err := h.askBank(ctx, c.Card); err != nil {
		return Receipt{}, err
	}
	receipt, isNew, err := h.ledger.Enter(ctx, key, c)
	if err != nil {
		return Receipt{}, err
	}
	if !isNew {
		h.log.InfoContext(ctx, "already charged", "charge_id", receipt.ID)
		return receipt, h.loseAnswer()
	}
	h.log.InfoContext(ctx, "charged", "charge_id", receipt.ID)
	// The money is taken: a lost receipt must not undo that, and a caller who does not
	// wait any more must not lose it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := h.receipts.Publish(ctx, TopicReceipts, receipt); err != nil {
		h.log.ErrorContext(ctx, "receipt not published", "charge_id", receipt.ID, "err", err)
	}
	return receipt, h.loseAnswer()
}

// loseAnswer returns an error if the answer to a charge that was made is lost.
func (h *Handler) loseAnswer() error {
	if h.trouble.Lose() {
		return chaos.ErrInjected
	}
	return nil
}

// wholeSeconds returns d for Retry-After, which knows no less than a second.
func wholeSeconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(max(d, time.Second).Seconds())))
}

// askBank stands for asking the card network whether it would pay. The money is
// taken by the entry in the ledger, so that asking twice does no harm.
func (h *Handler) askBank(ctx context.Context, card string) error {
	if err := h.trouble.Strike(ctx); err != nil {
		return err
	}
	switch card {
	case CardDeclined:
		return ErrDeclined
	case CardSlow:
		slow := time.NewTimer(SlowBank)
		defer slow.Stop()
		select {
		case <-slow.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
