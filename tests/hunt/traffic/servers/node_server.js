// Node's http, or Express with "express" as the third argument. Usage: node_server.js PORT LOG [express]
const fs = require('fs')
const [port, log, kind] = process.argv.slice(2)
const answer = (request, response) => {
  const mark = request.headers['x-mark'] || ''
  const key = request.headers['authorization'] || ''
  const entry = { method: request.method, target: request.originalUrl || request.url, mark, key }
  fs.appendFileSync(log, JSON.stringify(entry) + '\n')
  const done = () => {
    response.setHeader('X-Answer', mark)
    response.setHeader('Content-Length', mark.length)
    response.end(request.method === 'HEAD' ? undefined : mark)
  }
  if (request.url.startsWith('/unread')) return done()
  request.resume()
  request.on('end', done)
}
if (kind === 'express') {
  const application = require('express')()
  application.use(answer)
  application.listen(Number(port), '127.0.0.1')
} else {
  require('http').createServer(answer).listen(Number(port), '127.0.0.1')
}
