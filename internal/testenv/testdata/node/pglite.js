// Serves a PostgreSQL in memory, with pgvector to be had, on a port of 127.0.0.1 until its input ends. It prints the port.
//
// There is one session, which all connections share, with its settings and its prepared statements. A connection has it to
// itself from its first message to the end of its pipeline, and of its transaction.
import { createServer } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'

const db = await PGlite.create({ extensions: { vector } })

let owner = null
const waiting = []

function release(connection) {
  if (owner !== connection) return
  owner = waiting.shift() ?? null
  owner?.work()
}

class Connection {
  received = Buffer.alloc(0)
  begun = false // it has said who it is
  busy = false
  gone = false
  idle = true // nothing of a pipeline was sent

  constructor(socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (data) => {
      this.received = Buffer.concat([this.received, data])
      this.ask()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.gone = true
      this.ask()
    })
  }

  ask() {
    if (owner === null) owner = this
    if (owner === this) this.work()
    else if (!waiting.includes(this)) waiting.push(this)
  }

  // next takes a whole message, or returns null.
  next() {
    const header = this.begun ? 1 : 0
    if (this.received.length < header + 4) return null
    const length = header + this.received.readInt32BE(header)
    if (this.received.length < length) return null
    const message = this.received.subarray(0, length)
    this.received = this.received.subarray(length)
    return message
  }

  async work() {
    if (this.busy) return
    this.busy = true
    for (;;) {
      if (this.gone) {
        if (db.isInTransaction()) await db.exec('ROLLBACK')
        break
      }
      const message = this.next()
      if (message === null) {
        if (this.idle && !db.isInTransaction()) break
        this.busy = false // it keeps the session until more comes
        return
      }
      if (!this.begun && message.length === 8) {
        this.socket.write('N') // no TLS
        continue
      }
      if (!this.begun && message.length === 16) { // nothing is cancelled
        this.socket.end()
        continue
      }
      const kind = this.begun ? String.fromCharCode(message[0]) : ''
      this.begun = true
      if (kind === 'X') {
        this.socket.end()
        continue
      }
      const answer = await db.execProtocolRaw(new Uint8Array(message))
      if (answer.length > 0) this.socket.write(answer)
      this.idle = kind === 'S' || kind === 'Q' || kind === ''
    }
    this.busy = false
    release(this)
  }
}

const server = createServer((socket) => new Connection(socket))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
