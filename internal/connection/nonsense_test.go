package connection

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// connecting panics while connecting.
type connecting struct{ driver.Connector }

func (connecting) Connect(context.Context) (driver.Conn, error) { panic("Aa1-secret") }

func (connecting) Driver() driver.Driver { return nil }

// A server that answers nonsense at any point fails that attempt and nothing else. Chance decides
// which answers make the driver panic.
func TestServerThatAnswersNonsense(t *testing.T) {
	const conversations = 3000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		var open sync.WaitGroup
		defer open.Wait()
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			r := rand.New(rand.NewPCG(random.Uint64(), 0))
			open.Go(func() { talkNonsense(c, r) })
		}
	}()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.Logger = "tcp", listener.Addr().String(), "app", "Aa1-password", &mysql.NopLogger{}
	db, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	recovered := 0
	for n := range conversations {
		err := converse(t.Context(), db, n)
		if _, ok := errors.AsType[*panics.Error](err); ok {
			recovered++
		}
	}
	t.Logf("the driver panicked %d times", recovered)
	if recovered == 0 {
		t.Error("the driver never panicked: this test no longer tests anything")
	}
}

func converse(ctx context.Context, db *sql.DB, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch n % 4 {
	case 0:
		_, err := db.ExecContext(ctx, "SET x = 1")
		return err
	case 1:
		var x, y any
		return db.QueryRowContext(ctx, "SELECT ?, 1", n).Scan(&x, &y)
	case 2: // database/sql reads the rest of the result when the context ends
		r, err := db.QueryContext(ctx, "SELECT x, y")
		if err == nil {
			r.Next()
		}
		return err
	default:
		var x, y any
		return db.QueryRowContext(ctx, "SELECT x, y").Scan(&x, &y)
	}
}

// talkNonsense plays a server that answers correctly except for one packet.
func talkNonsense(c net.Conn, random *rand.Rand) {
	defer c.Close()
	left := random.IntN(8) // packets until the spoiled one
	send := func(sequence byte, payload []byte) bool {
		odd := left == 0
		left--
		packet := append([]byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), sequence}, payload...)
		if odd {
			packet = spoil(packet, random)
		}
		_, err := c.Write(packet)
		return err == nil && !odd
	}
	receive := func() (command byte, ok bool) {
		header := make([]byte, 4)
		if _, err := io.ReadFull(c, header); err != nil {
			return 0, false
		}
		body := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
		if _, err := io.ReadFull(c, body); err != nil || len(body) == 0 {
			return 0, err == nil
		}
		return body[0], true
	}
	ok := []byte{0, 0, 0, 2, 0, 0, 0}
	greeting := append([]byte("\x0a8.0.0\x00"), 1, 0, 0, 0)
	greeting = append(greeting, "saltsalt\x00"...)
	flags := uint32(1<<24 | 1<<19 | 1<<15 | 1<<13 | 1<<9 | 1<<3 | 1)
	greeting = binary.LittleEndian.AppendUint16(greeting, uint16(flags))
	greeting = append(greeting, 45, 2, 0)
	greeting = binary.LittleEndian.AppendUint16(greeting, uint16(flags>>16))
	greeting = append(append(greeting, 21), make([]byte, 10)...)
	greeting = append(greeting, "saltsaltsalt\x00mysql_native_password\x00"...)
	if !send(0, greeting) {
		return
	}
	if _, got := receive(); !got {
		return
	}
	sequence := byte(2)
	if random.IntN(2) == 0 {
		if !send(2, append([]byte("\xfecaching_sha2_password\x00"), "saltsaltsaltsaltsalt\x00"...)) {
			return
		}
		if _, got := receive(); !got || !send(4, []byte{1, 3}) {
			return
		}
		sequence = 5
	}
	if !send(sequence, ok) {
		return
	}
	column := func(kind byte) []byte {
		return append([]byte("\x03def\x00\x00\x00\x01x\x00\x0c"), 45, 0, 1, 0, 0, 0, kind, 0, 0, 0, 0, 0)
	}
	text := [][]byte{{2}, column(3), column(253), []byte("\x01" + "1\x03abc"), []byte("\x01" + "2\xfb"), {0xfe, 0, 0, 2, 0, 0, 0}}
	binaryRows := [][]byte{{2}, column(3), column(12), {0, 0, 1, 0, 0, 0, 4, 0xe8, 7, 1, 1}, {0xfe, 0, 0, 2, 0, 0, 0}}
	for {
		command, got := receive()
		if !got {
			return
		}
		answer := [][]byte{ok}
		switch command {
		case 3:
			if random.IntN(4) > 0 {
				answer = text
			}
		case 0x16:
			answer = [][]byte{{0, 1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0}, column(3), column(3), column(12)}
		case 0x17:
			answer = binaryRows
		case 0x19:
			continue
		}
		for i, payload := range answer {
			if !send(byte(i+1), payload) {
				return
			}
		}
	}
}

// spoil changes a packet at random.
func spoil(packet []byte, random *rand.Rand) []byte {
	packet = bytes.Clone(packet)
	header, body := packet[:4], packet[4:]
	odd := func() byte {
		special := []byte{0, 1, 0xfb, 0xfc, 0xfd, 0xfe, 0xff}
		if i := random.IntN(2 * len(special)); i < len(special) {
			return special[i]
		}
		return byte(random.Uint32())
	}
	switch random.IntN(6) {
	case 0: // shorter
		body = body[:random.IntN(len(body)+1)]
	case 1: // longer
		for range random.IntN(20) {
			body = append(body, odd())
		}
	case 2: // of odd bytes
		body = make([]byte, random.IntN(40))
		for i := range body {
			body[i] = odd()
		}
	case 3: // with another header
		header[random.IntN(4)] = odd()
		return append(header, body...)
	default:
		for range 1 + random.IntN(3) {
			if len(body) > 0 {
				body[random.IntN(len(body))] = odd()
			}
		}
	}
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), header[3]}, body...)
}
