// Reads and makes LoRaWAN frames by lora-packet: one JSON array of jobs a line on standard input, one array of
// results a line on standard output, in order. All bytes are hex, as on the air unless said otherwise; FCnt has 32 bits.
// A job that lora-packet refuses gives {"error": its words}.
"use strict";

const lora = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");
const printed = (hex) => bytes(hex).reverse(); // lora-packet takes and gives numbers most significant byte first

/** The upper half of a frame counter as lora-packet wants it: as in the block that is signed. */
function upperHalf(counter) {
  const half = Buffer.alloc(2);
  half.writeUInt16LE(Math.floor(counter / 0x10000), 0);
  return half;
}

const JOBS = {
  joinRequest({ phy, appKey }) {
    const packet = lora.fromWire(bytes(phy));
    return {
      type: packet.getMType(),
      joinEui: packet.AppEUI.toString("hex"),
      devEui: packet.DevEUI.toString("hex"),
      devNonce: packet.DevNonce.readUInt16BE(0),
      mic: lora.verifyMIC(packet, undefined, bytes(appKey)),
    };
  },

  data({ phy, nwkSKey, appSKey, counter }) {
    const packet = lora.fromWire(bytes(phy));
    const upper = upperHalf(counter);
    const port = packet.getFPort();
    return {
      type: packet.getMType(),
      direction: packet.getDir(),
      confirmed: packet.isConfirmed(),
      address: packet.DevAddr.readUInt32BE(0),
      counter: packet.getFCnt(),
      adr: packet.getFCtrlADR(),
      adrAckReq: packet.getFCtrlADRACKReq(),
      ack: packet.getFCtrlACK(),
      pending: packet.getFCtrlFPending(),
      fopts: packet.FOpts.toString("hex"),
      port,
      payload: port === null ? "" : lora.decrypt(packet, bytes(appSKey), bytes(nwkSKey), upper).toString("hex"),
      mic: lora.verifyMIC(packet, bytes(nwkSKey), undefined, upper),
    };
  },

  sessionKeys({ appKey, netId, joinNonce, devNonce }) {
    const nonce = Buffer.alloc(2);
    nonce.writeUInt16BE(devNonce, 0);
    const keys = lora.generateSessionKeys10(bytes(appKey), printed(netId), printed(joinNonce), nonce);
    return { nwkSKey: keys.NwkSKey.toString("hex"), appSKey: keys.AppSKey.toString("hex") };
  },

  makeJoinAccept({ appKey, joinNonce, netId, address, dlSettings, rxDelay, cfList }) {
    const devAddr = Buffer.alloc(4);
    devAddr.writeUInt32BE(address, 0);
    const packet = lora.fromFields(
      {
        MType: "Join Accept",
        AppNonce: printed(joinNonce),
        NetID: printed(netId),
        DevAddr: devAddr,
        DLSettings: Buffer.from([dlSettings]),
        RxDelay: Buffer.from([rxDelay]),
        CFList: bytes(cfList),
      },
      undefined,
      undefined,
      bytes(appKey)
    );
    return { phy: packet.getPHYPayload().toString("hex") };
  },

  makeDownlink({ nwkSKey, appSKey, confirmed, address, counter, adr, ack, pending, fopts, port, payload }) {
    const devAddr = Buffer.alloc(4);
    devAddr.writeUInt32BE(address, 0);
    const lower = Buffer.alloc(2);
    lower.writeUInt16BE(counter % 0x10000, 0);
    const fields = {
      MType: confirmed ? "Confirmed Data Down" : "Unconfirmed Data Down",
      DevAddr: devAddr,
      FCtrl: { ADR: adr, ACK: ack, FPending: pending },
      FCnt: lower,
      FOpts: bytes(fopts),
      payload: bytes(payload),
    };
    if (port !== null) fields.FPort = port;
    const upper = upperHalf(counter);
    const packet = lora.fromFields(fields, bytes(appSKey), bytes(nwkSKey), undefined, upper);
    // Without a port there is nothing to encrypt, and then fromFields leaves the MIC to the caller.
    if (port === null) lora.recalculateMIC(packet, bytes(nwkSKey), undefined, upper);
    return { phy: packet.getPHYPayload().toString("hex") };
  },
};

function answer(job) {
  try {
    return JOBS[job.do](job);
  } catch (error) {
    return { error: String(error.message || error) };
  }
}

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) process.stdout.write(JSON.stringify(JSON.parse(line).map(answer)) + "\n");
});
