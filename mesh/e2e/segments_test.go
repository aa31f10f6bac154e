package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// segment is what one packet says of a flow.
type segment struct {
	// first says that the flow begins here.
	first    bool
	sequence uint32
	payload  []byte
}

// parse reads an Ethernet frame; ok is false unless it is TCP over IPv4.
func parse(frame []byte) (key flowKey, found segment, ok bool) {
	const ethernet, addresses = 14, 12

	if len(frame) < ethernet+20 || binary.BigEndian.Uint16(frame[addresses:]) != unix.ETH_P_IP {
		return key, found, false
	}

	packet := frame[ethernet:]
	header, length := int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))

	if packet[9] != unix.IPPROTO_TCP || length > len(packet) || length < header+20 {
		return key, found, false
	}

	tcp := packet[header:length] // a short frame is filled up
	offset := int(tcp[12]>>4) * 4

	if offset > len(tcp) {
		return key, found, false
	}

	address := func(from int) netip.Addr { return netip.AddrFrom4([4]byte(packet[from : from+4])) }
	key = flowKey{
		from: netip.AddrPortFrom(address(12), binary.BigEndian.Uint16(tcp)),
		to:   netip.AddrPortFrom(address(16), binary.BigEndian.Uint16(tcp[2:])),
	}

	const syn = 1 << 1

	found = segment{first: tcp[13]&syn != 0, sequence: binary.BigEndian.Uint32(tcp[4:]), payload: tcp[offset:]}
	if found.first {
		found.sequence++ // it counts as a byte
	}

	return key, found, true
}

// flow is what was sent in one direction of a connection.
type flow struct {
	// whole says that it was seen from its beginning.
	whole bool
	// next is the sequence number that is due, early what came before its turn.
	next  uint32
	early map[uint32][]byte
	bytes []byte
}

// take puts a segment in its place. What was sent again is dropped.
func (f *flow) take(found segment) {
	if len(found.payload) == 0 {
		return
	}

	f.early[found.sequence] = bytes.Clone(found.payload)

	for again := true; again; {
		again = false

		for sequence, payload := range f.early {
			behind := int32(f.next - sequence)
			if behind < 0 {
				continue
			}

			delete(f.early, sequence)

			if int(behind) < len(payload) {
				f.bytes = append(f.bytes, payload[behind:]...)
				f.next = sequence + uint32(len(payload))
				again = true
			}
		}
	}
}

// encrypted says why the flow is not one of TLS. One that was not seen from its beginning may begin within a record.
func (f *flow) encrypted() error {
	if len(f.early) > 0 {
		return fmt.Errorf("%d pieces are missing", len(f.early))
	}

	const longest = 5 + 1<<14 + 256

	begins := 1
	if !f.whole {
		begins = min(longest, len(f.bytes))
	}

	var err error

	for at := range begins {
		if err = records(f.bytes[at:]); err == nil {
			return nil
		}
	}

	return err
}

// records says why bytes are not records of TLS, of which the last may be cut off.
func records(stream []byte) error {
	for at := 0; at < len(stream); {
		head := stream[at:min(at+5, len(stream))]

		const changeCipher, application, version = 20, 23, 3

		if head[0] < changeCipher || head[0] > application || len(head) > 1 && head[1] != version {
			return fmt.Errorf("at byte %d of %d there is no record of TLS: %q", at, len(stream), stream[at:min(at+32, len(stream))])
		}

		if len(head) < 5 {
			return nil
		}

		length := int(binary.BigEndian.Uint16(head[3:]))
		if length == 0 || length > 1<<14+256 {
			return fmt.Errorf("at byte %d of %d there is a record of %d bytes", at, len(stream), length)
		}

		at += 5 + length
	}

	return nil
}
